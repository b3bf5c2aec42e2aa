"""What grows while streams go on: `pytest bench -m soak --minutes M`."""

import pytest

from variants import Variant

from .run.fixtures import Live


@pytest.mark.soak
def bench_soak(variant: Variant, live: Live) -> None:
    """Memory, latency and state over minutes of audio."""
    live.soak()
