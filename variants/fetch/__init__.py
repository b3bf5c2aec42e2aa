"""Trained models that can be had without a token. In: a name. Out: its file in the user's cache, checked."""

from .models import MODELS, path_of

__all__ = ["MODELS", "path_of"]
