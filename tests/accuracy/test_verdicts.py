"""The verdict itself, on what a default run scores: it must tell what is equal from what is damaged."""

import argparse
from pathlib import Path

import pytest

import variants
from bench.accuracy.damage import noisy
from bench.accuracy.evidence import LOOKS
from bench.run.options import add_options, parse
from bench.run.run import Run

EXACT = ("shared-trunk", "onnx-tuned")
# an eighth of the chunks of a default run, to be done in an eighth of the time
OPTIONS = ("--embedding", "bundled", "--segmentation", "bundled", "--step", "2", "--accuracy-budget", "1e6")


@pytest.fixture
def damaged(monkeypatch: pytest.MonkeyPatch) -> str:
    """A variant whose weights are as much noise as they are weights."""
    monkeypatch.setattr("variants.registry._registry", dict(variants.registry._registry))
    variants.Variant("damaged", tolerance=1.0, default=False)(lambda model: noisy(model, 1.0))
    return "damaged"


@pytest.mark.slow
def test_what_is_exact_is_within_tolerance_and_what_is_damaged_is_worse(damaged: str, tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_options(parser.add_argument)
    given = parser.parse_args(OPTIONS)
    run = Run(parse(lambda name: getattr(given, name)), [*EXACT, damaged], tmp_path, lambda *_: None)
    run.prepare(timed=False)
    evidence = run.scores.evidence
    assert evidence is not None
    found = run.scores.judgements
    assert {found[name].verdict for name in EXACT} == {"within tolerance"}
    assert all(found[name].identical for name in EXACT)
    assert (found[damaged].verdict, found[damaged].heard) == ("worse", LOOKS[0])
    assert found[damaged].low > 1
    assert evidence.twin is not None and evidence.twin.low <= 0 <= evidence.twin.high
    beyond = evidence.unlike(damaged)
    assert beyond is not None and beyond.low > 0
