"""Live streams per core, in an open loop: `pytest bench -m capacity`."""

import pytest

from variants import Variant

from .run.fixtures import Live


@pytest.mark.capacity
def bench_capacity(variant: Variant, live: Live) -> None:
    """The most streams that hold their deadline, in turn and batched."""
    live.capacity()
