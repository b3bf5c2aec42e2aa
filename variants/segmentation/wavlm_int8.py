"""The graph of `wavlm-onnx` in int8."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import nn

from variants.compressed.calibration import calibration
from variants.compressed.int8_static import quantisable, quantise
from variants.registry import variant

from .wavlm_onnx import segmenter_graph

CALIBRATION = 8  # chunks of 5 s from which ranges are taken, spread over those there are: a range keeps every value


@variant(
    "wavlm-int8",
    title="WavLM, int8",
    parent="segmentation",
    model="segmentation",
    tolerance=0.5,
    needs=["onnx", "onnxruntime"],
)
def wavlm_in_int8(model: nn.Module) -> nn.Module:
    """Linear layers and convolutions in int8, all but the first convolution and that of the positions."""
    return segmenter_graph(model, _quantised)


def _quantised(path: Path) -> Path:
    found = calibration().spread(CALIBRATION)
    feeds = [{"inputs": waveform[None].astype(np.float32)} for waveform in found.waveforms]
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
