"""Corpora: recordings with references, from a folder, built in, or simulated from single-speaker speech."""

from .builtin import default_corpus, embedded, sample
from .folder import load_corpus
from .recording import CorpusError, Recording

__all__ = ["CorpusError", "Recording", "default_corpus", "embedded", "load_corpus", "sample"]
