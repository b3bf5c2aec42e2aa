"""The arithmetic floor of a model: the multiply-adds that it really executes at the speed of large matrix products."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from variants.runtime.graph import Graph
from variants.runtime.onnx import session_options

SIDE, SECONDS = 1024, 1.0  # of the square matrices; of their repeated product, of which the fastest counts


class Operations(NamedTuple):
    """Operations (a multiply-add is two) by their type; as a speed, those of a second."""

    float32: float
    int8: float = 0


@dataclass(frozen=True)
class Floor:
    """Operations of one call, and operations a second at best."""

    operations: Operations
    peak: Operations

    @property
    def seconds(self) -> float:
        """The least time that the arithmetic takes."""
        spent = self.operations.float32 / self.peak.float32
        return spent + self.operations.int8 / self.peak.int8 if self.operations.int8 else spent


def peak(side: int = SIDE, seconds: float = SECONDS) -> Operations:
    """Operations a second of large products on torch's threads.

    In float32 the faster of torch and onnxruntime, which differ on some CPUs; in int8 onnxruntime, u8 by s8.
    """
    a, b = torch.rand(side, side), torch.rand(side, side)
    in_torch = _fastest(lambda: torch.mm(a, b), seconds)
    in_float32 = _fastest(_product_in_onnx("MatMul", a.numpy(), b.numpy()), seconds)
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 256, (side, side), np.uint8), rng.integers(-128, 128, (side, side), np.int8)
    in_int8 = _fastest(_product_in_onnx("MatMulInteger", left, right), seconds)
    return Operations(2 * side**3 / min(in_torch, in_float32), 2 * side**3 / in_int8)


def _fastest(call: Callable[[], Any], seconds: float) -> float:
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end or best == float("inf"):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def _product_in_onnx(kind: str, left: NDArray[Any], right: NDArray[Any]) -> Callable[[], Any]:
    """A product of `left` by the constant `right`, in onnxruntime."""
    shape = list(left.shape)
    inputs = [helper.make_tensor_value_info("a", helper.np_dtype_to_tensor_dtype(left.dtype), shape)]
    outputs = [onnx.ValueInfoProto(name="c")]
    nodes = [helper.make_node(kind, ["a", "b"], ["c"])]
    graph = helper.make_graph(nodes, "product", inputs, outputs, [numpy_helper.from_array(right, "b")])
    file = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    session = onnxruntime.InferenceSession(file, session_options(), providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"a": left})


class _Recorded:
    """A session that remembers what it was last run on."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.feeds: dict[str, NDArray[Any]] | None = None

    def run(self, outputs: Any, feeds: dict[str, NDArray[Any]]) -> Any:
        self.feeds = feeds
        return self.session.run(outputs, feeds)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)


def operations(model: Any, call: Callable[[], Any]) -> Operations | None:
    """Operations of `call`: convolutions and products in torch, and what the ONNX files of `model` execute.

    None for a model whose arithmetic cannot be counted: torch's quantised layers, ONNX with branches, other runtimes.
    """
    graphs = _graphs(model)
    if graphs is None or _torch_int8(model):
        return None
    holders, files = graphs
    recorded = [_Recorded(holder.session) for holder in holders]
    try:
        for holder, recording in zip(holders, recorded, strict=True):
            holder.session = recording
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            call()
    finally:
        for holder, recording in zip(holders, recorded, strict=True):
            holder.session = recording.session
    found = [graph_operations(f, r.feeds) for f, r in zip(files, recorded, strict=True) if r.feeds is not None]
    inside = [o for o in found if o is not None]
    if len(inside) < len(found):
        return None
    return Operations(counter.get_total_flops() + sum(o.float32 for o in inside), sum(o.int8 for o in inside))


def in_int8(model: Any) -> bool:
    """Whether any layer of a model is in int8, in torch or in the ONNX files that it runs."""
    if _torch_int8(model):
        return True
    _, files = _graphs(model) or ([], [])
    nodes = [node for file in files for node in onnx.load_from_string(file).graph.node]
    return any(node.op_type == "DequantizeLinear" or node.op_type.startswith("DynamicQuantize") for node in nodes)


def _torch_int8(model: Any) -> bool:
    return isinstance(model, nn.Module) and any("quantized" in type(m).__module__ for m in model.modules())


def _graphs(model: Any) -> tuple[list[Any], list[bytes]] | None:
    """What holds a session, and its ONNX file; None for other runtimes."""
    if isinstance(model, nn.Module):
        holders: list[Any] = [m for m in model.modules() if isinstance(m, Graph)]
        return holders, [bytes(m.file.numpy()) for m in holders]
    loaded = getattr(model, "model", None)  # DIART's embedding models hold what they loaded
    return None if loaded is None or not hasattr(loaded, "session") else ([loaded], [loaded.path.read_bytes()])


def graph_operations(file: bytes, feeds: Mapping[str, NDArray[Any]]) -> Operations | None:
    """Operations of the Conv, MatMul, Gemm and LSTM nodes of an ONNX file, by the shapes that a run on `feeds` has.

    None for a file with branches or loops, whose inner nodes cannot be seen.
    """
    model = onnx.load_from_string(file)
    if any(attribute.HasField("g") for node in model.graph.node for attribute in node.attribute):
        return None
    counted = [n for n in model.graph.node if n.op_type in _COUNT]
    sizes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    made = {n.output[0]: n for n in model.graph.node}
    names = {name for n in counted for name in (*n.input[:3], n.output[0]) if name and name in made}
    present = {value.name for value in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(names - present))
    options = session_options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # nodes stay what they are
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    shapes = dict(zip([o.name for o in session.get_outputs()], session.run(None, dict(feeds)), strict=True))
    sizes |= {name: np.shape(value) for name, value in (shapes | dict(feeds)).items()}
    total = {False: 0, True: 0}
    for node in counted:
        weights = made.get(node.input[1])
        in_int8 = node.op_type.startswith("Dynamic") or (weights is not None and weights.op_type == "DequantizeLinear")
        total[in_int8] += 2 * _COUNT[node.op_type](*(sizes.get(name, ()) for name in (*node.input[:3], node.output[0])))
    return Operations(total[False], total[True])


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape))


def _convolution(*shapes: tuple[int, ...]) -> int:  # every output: one filter's (inputs, ...) weights
    return _size(shapes[-1]) * _size(shapes[1][1:])


def _product(*shapes: tuple[int, ...]) -> int:
    return _size(shapes[-1]) * shapes[0][-1]


def _lstm(*shapes: tuple[int, ...]) -> int:  # every step: all of the input's and the recurrent weights
    steps, batch, _ = shapes[0]
    return steps * batch * (_size(shapes[1]) + _size(shapes[2]))


_COUNT: dict[str, Callable[..., int]] = {
    "Conv": _convolution,
    "MatMul": _product,
    "Gemm": _product,
    "LSTM": _lstm,
    "DynamicQuantizeLSTM": _lstm,
}
