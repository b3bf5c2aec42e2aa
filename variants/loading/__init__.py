"""Models from files. In: `bundled`, a path, an id or a preset. Out: a network in eval mode, its provenance stamped."""

from .models import WEIGHTS, checked, load, safe_globals, segmentation_specifications

__all__ = ["WEIGHTS", "checked", "load", "safe_globals", "segmentation_specifications"]
