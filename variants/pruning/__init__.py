"""Structured pruning that removes units: gates that learn which, a constraint on the size, surgery that takes them out.

Method: Han et al., "Fine-tune Before Structured Pruning" (Interspeech 2025), on gates by Louizos, Welling and Kingma,
"Learning Sparse Neural Networks through L0 Regularization" (ICLR 2018). Needs torch and safetensors only.
"""

from .clipping import PercentileClip
from .constraint import Constraint, Groups, parameter_groups, scheduled
from .gates import HardConcrete
from .matching import matching_loss
from .storage import read, read_state, write
from .surgery import Kept, keep, narrow

__all__ = [
    "Constraint",
    "Groups",
    "HardConcrete",
    "Kept",
    "PercentileClip",
    "keep",
    "matching_loss",
    "narrow",
    "parameter_groups",
    "read",
    "read_state",
    "scheduled",
    "write",
]
