"""`streaming-trunk-int8`: the step but for the sinc filters and the linear layer in int8, first chunks in float."""

import torch
from torch import nn

from variants.compressed.calibration import calibration
from variants.compressed.equalised import equalise
from variants.compressed.int8_static import quantised
from variants.registry import Variant
from variants.runtime.graph import Graph

from .step import GraphStep, feed_of
from .streaming_trunk import TOLERANCES, delay_of, in_graphs
from .trunk import FrameTrunk


def int8_step(trunk: FrameTrunk) -> GraphStep:
    """The step, its ranges those of the second halves of the calibration's chunks, which continue the first."""
    found = calibration()
    waveforms = [torch.from_numpy(waveform[0]) for waveform in found.waveforms]
    counts = [trunk.frames_in(len(waveform) // 2) for waveform in waveforms]
    feeds = [feed_of(trunk, waveform, n, delay_of(n)) for waveform, n in zip(waveforms, counts, strict=True)]
    finish = quantised([{n: t.numpy() for n, t in feed.items()} for feed in feeds], found.notes())
    return GraphStep(trunk, finish)


def streaming_trunk_int8(model: nn.Module) -> nn.Module:
    """What `streaming_trunk` does, in int8."""
    made = in_graphs(equalise(model), int8_step)
    found = calibration()
    pooled = [
        made.pooled(*made.frames(torch.from_numpy(waveform[0]))[:2], torch.from_numpy(weights))
        for waveform, weights in zip(found.waveforms, found.weights, strict=True)
    ]
    made.streams.clear()
    finish = quantised([{"inputs": rows.numpy()} for rows in pooled], found.notes())
    made.embedding = Graph(made.embedding, pooled[0], finish, {"inputs": {0: "rows"}, "outputs": {0: "rows"}})
    return made


for prefix, tolerance in TOLERANCES.items():
    Variant(
        f"{prefix}streaming-trunk-int8",
        title="+ streaming trunk, int8" if prefix else "streaming trunk, int8",
        parent=f"{prefix}shared-folded",
        tolerance=tolerance,
        needs=["onnx", "onnxruntime"],
        default=False,
        exported_by=f"{prefix}int8" if "pruned" in prefix else f"{prefix}int8-static",
    )(streaming_trunk_int8)
