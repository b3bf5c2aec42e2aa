"""The arithmetic floor of a model: the multiply-adds that it really executes at the speed of a large matrix product."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import onnx
import torch
from onnx import shape_inference
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from variants.best_exact import Graph

SIDE, SECONDS = 1024, 1.0  # of the square matrices, float32; of their repeated product, of which the fastest counts


@dataclass(frozen=True)
class Floor:
    """Operations of one call, and operations a second at best."""

    operations: int
    peak: float

    @property
    def seconds(self) -> float:
        """The least time that the arithmetic takes."""
        return self.operations / self.peak


def peak(side: int = SIDE, seconds: float = SECONDS) -> float:
    """Floating-point operations a second (a multiply-add is two) of a large product on torch's threads."""
    a, b = torch.rand(side, side), torch.rand(side, side)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end or best == float("inf"):
        start = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def operations(model: Any, call: Callable[[], Any]) -> int | None:
    """Operations of `call`'s convolutions and products in torch, and of the ONNX graphs within `model`, LSTMs too.

    None for a model whose arithmetic cannot be counted: a bare ONNX session, quantised layers.
    """
    if not isinstance(model, nn.Module) or any("quantized" in type(m).__module__ for m in model.modules()):
        return None
    inside = 0

    def graph_called(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal inside
        assert isinstance(module, Graph)
        inside += graph_operations(bytes(module.file.numpy()), inputs[0].shape)  # type: ignore[operator]

    hooks = [m.register_forward_hook(graph_called) for m in model.modules() if isinstance(m, Graph)]
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            call()
    finally:
        for hook in hooks:
            hook.remove()
    return counter.get_total_flops() + inside


def graph_operations(file: bytes, shape: torch.Size) -> int:
    """Operations of the Conv, MatMul, Gemm and LSTM nodes of an ONNX file for one input of `shape`."""
    model = onnx.load_from_string(file)
    for dimension, length in zip(model.graph.input[0].type.tensor_type.shape.dim, shape, strict=True):
        dimension.dim_value = length
    graph = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in [*graph.value_info, *graph.output]}
    shapes |= {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.input}
    shapes |= {tensor.name: list(tensor.dims) for tensor in graph.initializer}

    def size(name: str) -> int:
        return int(torch.Size(shapes[name]).numel())

    total = 0
    for node in graph.node:
        if node.op_type == "Conv":  # every output: a filter's (inputs, ...) weights
            total += 2 * size(node.output[0]) * size(node.input[1]) // shapes[node.input[1]][0]
        elif node.op_type in ("MatMul", "Gemm"):
            inner = shapes[node.input[0]][-1]
            total += 2 * size(node.output[0]) * inner
        elif node.op_type == "LSTM":  # every step: all of the input's and the recurrent weights
            steps, batch, _ = shapes[node.input[0]]
            total += 2 * steps * batch * (size(node.input[1]) + size(node.input[2]))
    return total
