"""The fastest whole pipeline within 0.3 DER points: `best-exact` with the embedding and the LSTMs in int8."""

from collections.abc import Callable, Collection
from functools import singledispatch
from pathlib import Path

import torch
from torch import nn

from variants.exact.best_exact import cached_graph
from variants.registry import variant
from variants.runtime.onnx import Finish

from .calibration import calibration
from .equalised import equalise
from .int8_static import quantised


def behind(front: nn.Module, nodes: Callable[[Path], Collection[str]] | None = None) -> Finish:
    """Quantise a graph by what the cached `front` makes of the calibration's chunks, sample by sample the same.

    nodes: of a graph's file, what becomes int8; None: as `quantise` chooses.
    """
    found = calibration()
    with torch.no_grad():
        feeds = [{"inputs": front(torch.from_numpy(waveform[None])).numpy()} for waveform in found.waveforms]
    return quantised(feeds, found.notes(), nodes)


@variant(
    "best",
    title="best",
    parent="shared-folded",
    tolerance=0.3,
    needs=["onnx", "onnxruntime"],
    exported_by="int8-static",
    segmentation="segmentation-cached-int8",
)
@variant(
    "distilled-best",
    title="+ best",
    parent="distilled-shared-folded",
    tolerance=0.3,
    needs=["onnx", "onnxruntime"],
    default=False,
    exported_by="distilled-int8-static",
    segmentation="segmentation-cached-int8",
)
@singledispatch
def best(model: nn.Module) -> nn.Module:
    """The first convolution cached, in float; what lies between it and the pooling as one int8 graph."""
    return cached_graph(equalise(model), behind)
