"""int8 on CAM++: by ranges that hold all values, from a few chunks, and without the layers that see a chunk once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from variants.exact.campplus import SharedCAMPlusPlus, graph_behind_features
from variants.exact.row_graph import row_graph
from variants.runtime.onnx import Finish, load_in_diart, pinned

from .best import best
from .calibration import calibration
from .int8_static import Feeds, int8_static, quantisable, quantise, row_feeds, sensitive

if TYPE_CHECKING:
    from diart.models import EmbeddingModel

CALIBRATION = 8  # chunks, spread over those there are: 24 gave no other cosines
PERCENTILE = 100.0  # 99.99, as for the x-vector, took the lowest cosine on embedded `dev` from 0.99 to 0.96


def worth_it(path: Path) -> set[str]:
    """All that is quantisable but the masks' layers, which see a chunk's few segments, and what is sensitive."""
    return {name for name in quantisable(path) if "/cam_layer/linear" not in name or "local" in name} - sensitive(path)


def quantised(feeds: Feeds, notes: dict[str, str]) -> Finish:
    """As `int8_static.quantised`, in CAM++'s way."""
    return lambda path: quantise(path, feeds, notes, worth_it(path), PERCENTILE)


@int8_static.register(SharedCAMPlusPlus)
def _(model: SharedCAMPlusPlus) -> EmbeddingModel:
    """The graph of `onnx-tuned` with its convolutions in int8, but those of waveform and features in float."""
    return pinned(load_in_diart(row_graph(model), finish=quantised(*row_feeds(calibration().spread(CALIBRATION)))))


@best.register(SharedCAMPlusPlus)
def _(model: SharedCAMPlusPlus) -> nn.Module:
    """The features in torch, what lies between them and the pooling as one int8 graph."""
    found = calibration().spread(CALIBRATION)
    with torch.no_grad():
        feeds = [{"inputs": model.fbank(torch.from_numpy(waveform[None])).numpy()} for waveform in found.waveforms]
    return graph_behind_features(model, quantised(feeds, found.notes()))
