"""Latency of the stock DIART pipeline: one round is one chunk, from chunk in to labels out."""

from typing import Any

from variants import Variant

from .run.fixtures import Recorded


def bench_pipeline(variant: Variant, recorded: Recorded, benchmark: Any) -> None:
    """One round: segmentation, embedding, clustering and aggregation of one chunk."""
    recorded.replay(benchmark)
