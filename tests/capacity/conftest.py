"""Streams of light models, and what they hear."""

from collections.abc import Callable
from typing import Any

import pytest
from lightweight import SETTINGS, Embedder, Hands, Segmenter, tones
from torch import nn

import variants
from bench.capacity.audio import Looped
from bench.capacity.streams import Streams


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def audio() -> Looped:
    return Looped([tones(7.3), tones(4.0, 1)], SETTINGS)


@pytest.fixture
def light() -> Callable[..., Streams]:
    """As many streams of light models; given ones take their place."""

    def made(count: int, segmenter: nn.Module | None = None, embedder: Any = None) -> Streams:
        segmentation = variants.as_segmentation_model(segmenter or Segmenter())
        embedding = variants.as_embedding_model(embedder or Embedder())
        return Streams(count, SETTINGS, segmentation, embedding)

    return made
