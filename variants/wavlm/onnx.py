"""A WavLM segmentation in ONNX Runtime, in float and in int8, for `--segmentation-variant`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from variants.compressed.calibration import calibration
from variants.compressed.int8_static import quantisable, quantise
from variants.errors import UnavailableError
from variants.exact.best_exact import Finish, Graph
from variants.paper.onnx import SAMPLES, as_it_is
from variants.registry import variant

from . import Segmenter

CALIBRATION = 8  # chunks of 5 s from which ranges are taken, spread over those there are: a range keeps every value


def graph(model: nn.Module, finish: Finish = as_it_is) -> nn.Module:
    """A segmenter as one graph for chunks of 5 s. finish: from the exported file to the one to run."""
    if not isinstance(model, Segmenter):
        raise UnavailableError(f"{type(model).__name__} is no WavLM segmentation")
    return Graph(model, torch.rand(1, 1, SAMPLES), finish).eval()


@variant(
    "wavlm-onnx",
    title="WavLM, ONNX",
    parent="segmentation",
    model="segmentation",
    exact=True,
    needs=["onnx", "onnxruntime"],
)
def in_onnx(model: nn.Module) -> nn.Module:
    """The whole segmentation as one graph."""
    return graph(model)


@variant(
    "wavlm-int8",
    title="WavLM, int8",
    parent="segmentation",
    model="segmentation",
    tolerance=0.5,
    needs=["onnx", "onnxruntime"],
)
def in_int8(model: nn.Module) -> nn.Module:
    """The same with linear layers and convolutions in int8, all but the first convolution and that of the positions."""
    return graph(model, _quantised)


def _quantised(path: Path) -> Path:
    found = calibration()
    chosen = found.waveforms[:: max(len(found.waveforms) // CALIBRATION, 1)][:CALIBRATION]
    feeds = [{"inputs": waveform[None].astype(np.float32)} for waveform in chosen]
    return quantise(path, feeds, found.notes(), _worth_it(path))


def _worth_it(path: Path) -> Sequence[str]:
    """Linear layers, and plain convolutions of more than the waveform itself: grouped ones have no int8 kernel."""
    import onnx

    nodes = {node.name: node for node in onnx.load(str(path)).graph.node}
    sizes = {tensor.name: tensor.dims for tensor in onnx.load(str(path)).graph.initializer}
    chosen = []
    for name in quantisable(path):
        node = nodes[name]
        groups = next((a.i for a in node.attribute if a.name == "group"), 1)
        if node.op_type != "Conv" or (groups == 1 and sizes[node.input[1]][1] > 1):
            chosen.append(name)
    return chosen
