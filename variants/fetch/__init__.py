"""Trained models that can be had without a token. In: a name. Out: its file in the user's cache, checked."""

from .download import fetch
from .models import KNOWN, path_of

__all__ = ["KNOWN", "fetch", "path_of"]
