"""What is measured: the registry of embedding model variants, one file per technique."""

from . import baseline, distilled, pruned, fused, int8, onnx, shared_trunk, folded, onnx_tuned, compiled, vino  # noqa: F401, I001 - in this order
from . import bf16, int8_static, cached, segmentation, best_exact, best, channel_pruned  # noqa: F401 - after those they build on
from . import wavlm_onnx  # noqa: F401 - after what it builds on
from .errors import UnavailableError, UserError
from .provenance import Provenance, provenance_of
from .registry import (
    Variant,
    ancestry,
    as_embedding_model,
    as_segmentation_model,
    build,
    get,
    names,
    require,
    select,
    variant,
)

__all__ = [
    "Provenance",
    "UnavailableError",
    "UserError",
    "Variant",
    "ancestry",
    "as_embedding_model",
    "as_segmentation_model",
    "build",
    "get",
    "names",
    "provenance_of",
    "require",
    "select",
    "variant",
]
