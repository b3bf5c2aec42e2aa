"""What is measured: the registry of embedding model variants, one file per technique."""

from .paper import baseline, distilled, pruned, fused, int8, onnx  # noqa: F401, I001 - in the order of the tables
from .exact import shared_trunk, folded, onnx_tuned, compiled, vino  # noqa: F401 - after those they build on
from .compressed import bf16, int8_static  # noqa: F401
from .exact import cached, best_exact  # noqa: F401
from .compressed import best, best_near, channel_pruned  # noqa: F401
from .exact import campplus as exact_campplus  # noqa: F401
from .compressed import campplus as compressed_campplus  # noqa: F401
from .streaming import streaming_trunk, streaming_trunk_int8, best_streaming  # noqa: F401
from . import segmentation  # noqa: F401
from .streaming import streaming_segmentation, streaming_segmentation_taught  # noqa: F401
from .errors import UnavailableError, UserError
from .provenance import Provenance, provenance_of
from .registry import (
    MODELS,
    Model,
    Variant,
    ancestry,
    as_embedding_model,
    as_segmentation_model,
    build,
    enter,
    get,
    names,
    require,
    select,
    variant,
)

__all__ = [
    "MODELS",
    "Model",
    "Provenance",
    "UnavailableError",
    "UserError",
    "Variant",
    "ancestry",
    "as_embedding_model",
    "as_segmentation_model",
    "build",
    "enter",
    "get",
    "names",
    "provenance_of",
    "require",
    "select",
    "variant",
]
