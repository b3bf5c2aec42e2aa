"""Models from files. In: `bundled`, a path, an id or a preset. Out: a network in eval mode, its provenance stamped."""

from .bundled import WEIGHTS, checked, segmentation_specifications
from .checkpoint import safe_globals
from .sources import FETCHED_SEGMENTATION, default_segmentation, load, trained_duration

__all__ = [
    "FETCHED_SEGMENTATION",
    "WEIGHTS",
    "checked",
    "default_segmentation",
    "load",
    "safe_globals",
    "segmentation_specifications",
    "trained_duration",
]
