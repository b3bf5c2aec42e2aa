"""What becomes of each verdict in the accuracy tests."""

from types import SimpleNamespace
from typing import Any

import pytest
from test_der import test_der_increase_is_within_tolerance as judged_test

import variants
from bench.accuracy.verdict import Judgement, Verdict
from bench.run.stash import UNRESOLVED


def outcome(verdict: Verdict, strict: bool = False) -> dict[str, object]:
    """The properties that the test of a variant with that verdict records."""
    judged = Judgement(verdict, 0.4, -0.2, 1.0, conditional=True, heard=16)
    scores = SimpleNamespace(judge=lambda name, over: judged, failed={})
    run: Any = SimpleNamespace(
        scores=scores,
        models=SimpleNamespace(trained={"baseline": True, "best": True}),
        options=SimpleNamespace(scoring=SimpleNamespace(strict=strict)),
    )
    properties: dict[str, object] = {}
    judged_test(variants.get("best"), run, "baseline", properties.__setitem__)
    return properties


def test_within_tolerance_passes_and_worse_fails() -> None:
    assert outcome("within tolerance") == {}
    with pytest.raises(AssertionError, match=r"best: DER \+0.40 \[-0.20, \+1.00\] points over baseline, tolerance 0.3"):
        outcome("worse")


def test_not_resolved_is_recorded_and_fails_only_where_that_was_asked_for() -> None:
    said = outcome("not resolved")[UNRESOLVED]
    assert str(said).endswith("over baseline, tolerance 0.3, not resolved under 16 perturbations")
    with pytest.raises(pytest.fail.Exception, match="--accuracy-strict"):
        outcome("not resolved", strict=True)
