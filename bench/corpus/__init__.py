"""Corpora: recordings with references, from a folder, built in, or simulated from single-speaker speech."""

from bench.corpus.builtin import default_corpus, embedded, sample
from bench.corpus.folder import load_corpus
from bench.corpus.recording import CorpusError, Recording

__all__ = ["CorpusError", "Recording", "default_corpus", "embedded", "load_corpus", "sample"]
