"""int8 on CAM++: by ranges that hold all values, from a few chunks, and without the layers that see a chunk once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from variants.campplus import CAMPlusPlus
from variants.exact.campplus import graph_behind_features
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
    """What is quantisable but the masks' and the last layer, which see a chunk once, and what is sensitive."""
    once = ("cam_layer/linear1", "cam_layer/linear2", "dense/linear")
    return {name for name in quantisable(path) if not any(part in name for part in once)} - sensitive(path)


def quantised(feeds: Feeds, notes: dict[str, str]) -> Finish:
    """As `int8_static.quantised`, in CAM++'s way."""
    return lambda path: quantise(path, feeds, notes, worth_it(path), PERCENTILE)


@int8_static.register(CAMPlusPlus)
def _(model: CAMPlusPlus) -> EmbeddingModel:
    """The graph of `onnx-tuned` with its convolutions in int8, but those of waveform and features."""
    return pinned(load_in_diart(row_graph(model), finish=quantised(*row_feeds(calibration().spread(CALIBRATION)))))


@best.register(CAMPlusPlus)
def _(model: CAMPlusPlus) -> nn.Module:
    """As `best-exact`, its graph in int8."""
    feeds, notes = row_feeds(calibration().spread(CALIBRATION))
    with torch.no_grad():
        rows = [[torch.from_numpy(feed[name]) for name in ("waveform", "weights")] for feed in feeds]
        inputs: Feeds = [{"inputs": model.heard(*row).numpy()} for row in rows]
    return graph_behind_features(model, quantised(inputs, notes))
