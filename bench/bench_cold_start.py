"""Latency of a start from nothing: import, load, first chunk, in a fresh process each. Only where it is named."""

from typing import Any

import pytest

from variants import Variant

from .run.fixtures import Recorded


@pytest.mark.cold_start
def bench_cold_start(variant: Variant, recorded: Recorded, benchmark: Any) -> None:
    """One round: one process, from its start to the labels of its first chunk."""
    recorded.replay(benchmark)
