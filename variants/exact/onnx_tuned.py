"""Shared trunk, folding and Conv2d lowering as one ONNX file that is right in any session, and fast in a pinned one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from variants.registry import variant
from variants.runtime.onnx import load_in_diart, pinned

from .row_graph import row_graph

if TYPE_CHECKING:
    from diart.models import EmbeddingModel


@variant("onnx-tuned", title="ONNX, tuned", parent="shared-folded", exact=True, needs=["onnx", "onnxruntime"])
@variant(
    "distilled-onnx-tuned",
    title="+ ONNX, tuned",
    parent="distilled-shared-folded",
    exact=True,
    tolerance=1.0,
    needs=["onnx", "onnxruntime"],
    default=False,
)
def onnx_tuned(model: nn.Module) -> EmbeddingModel:
    """One graph that finds equal rows and resizes weights itself; torch's number of threads, none of which spins."""
    return pinned(load_in_diart(row_graph(model)))
