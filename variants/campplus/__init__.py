"""CAM++, a second embedding: the published network behind its features. In: a file of weights. Out: a stamped model."""

from .network import CAMPlusPlus
from .weights import load_campplus

__all__ = ["CAMPlusPlus", "load_campplus"]
