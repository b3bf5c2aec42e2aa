"""Latency of the embedding alone: DIART's `OverlapAwareSpeakerEmbedding` on successive chunks."""

from typing import Any

from variants import Variant

from .run.fixtures import Recorded


def bench_model_only(variant: Variant, recorded: Recorded, benchmark: Any) -> None:
    """One round: one chunk's embeddings, one row per local speaker."""
    recorded.replay(benchmark)
