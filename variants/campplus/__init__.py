"""CAM++, a second embedding: the published network behind its features. In: a file of weights. Out: a stamped model."""

from .model import SILENT, CAMPlusPlus
from .weights import load_campplus

__all__ = ["SILENT", "CAMPlusPlus", "load_campplus"]
