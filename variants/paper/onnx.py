"""The paper's ONNX export, in DIART's own default session, and in one that obeys the run's threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from variants.registry import variant
from variants.runtime.onnx import load_in_diart, pinned

if TYPE_CHECKING:
    from diart.models import EmbeddingModel


@variant(
    "distilled-onnx",
    title="+ ONNX",
    parent="distilled",
    paper="+ ONNX",
    exact=True,
    tolerance=1.0,
    needs=["onnx", "onnxruntime"],
    pinned=False,
)
def onnx_default(model: nn.Module) -> EmbeddingModel:
    """As the paper did: DIART's loader and default session, which picks its own threads and lets them spin."""
    return load_in_diart(model)


@variant(
    "distilled-onnx-pinned",
    title="+ ONNX, pinned",
    parent="distilled",
    exact=True,
    tolerance=1.0,
    needs=["onnx", "onnxruntime"],
    default=False,
)
def onnx_pinned(model: nn.Module) -> EmbeddingModel:
    """The same file in a session with torch's number of threads, none of which spins."""
    return pinned(load_in_diart(model))
