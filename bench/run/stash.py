"""What both halves of the pytest plugin look up: the session's run, which is imported late, and a test's variant."""

from typing import TYPE_CHECKING

import pytest

from variants import Variant

if TYPE_CHECKING:
    from .run import Run

UNRESOLVED = "not_resolved"  # a test's property: the verdict for which there was too little evidence
RUN: pytest.StashKey["Run"] = pytest.StashKey()


def variant_of(item: pytest.Function) -> Variant:
    """The variant that a test got as its parameter."""
    variant = item.callspec.params["variant"]
    assert isinstance(variant, Variant)
    return variant
