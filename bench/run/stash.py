"""What both halves of the pytest plugin look up: the session's run, which is imported late, and what a test needs."""

from typing import TYPE_CHECKING

import pytest

from variants import Variant

if TYPE_CHECKING:
    from .run import Run

UNRESOLVED = "not_resolved"  # a test's property: the verdict for which there was too little evidence
RUN: pytest.StashKey["Run"] = pytest.StashKey()


def needs(test: pytest.Item) -> set[str]:
    """Which fixtures that rest on a run a test uses: ours, as a user's own may be called the same."""
    found = getattr(getattr(test, "_fixtureinfo", None), "name2fixturedefs", {})
    ours = {"live", "recorded", "scored"} & found.keys()
    return {name for name in ours if found[name][-1].func.__module__ == f"{__package__}.fixtures"}


def variant_of(item: pytest.Function) -> Variant:
    """The variant that a test got as its parameter."""
    variant = item.callspec.params["variant"]
    assert isinstance(variant, Variant)
    return variant
