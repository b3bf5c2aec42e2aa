"""Which models a run takes where none are named, with which thresholds, and what it says of them."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyannote.audio  # noqa: F401 - a session in this process forgets its imports, and torch allows no second
import pytest
from pyannote.audio.core.task import Problem, Resolution, Specifications
from pyannote.audio.models.segmentation import PyanNet

from bench.pipeline.staged import PRESETS
from bench.run import conditions
from bench.run.models import Models
from bench.run.options import ModelOptions, Options, add_options, parse
from variants import UserError
from variants.fetch import path_of

PAPERS = "pyannote/segmentation"
Cache = Callable[..., None]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """Makes the user's cache one with, or without, the paper's segmentation in it."""

    def make(fetched: bool) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        if fetched:
            path_of(PAPERS).parent.mkdir(parents=True)
            path_of(PAPERS).touch()

    return make


def options(*arguments: str) -> Options:
    parser = argparse.ArgumentParser()
    add_options(parser.add_argument)
    given = parser.parse_args(arguments)
    return parse(lambda name: getattr(given, name))


@pytest.mark.parametrize(
    ("fetched", "segmentation", "preset"), [(False, "bundled", "bundled"), (True, PAPERS, "bundled-pyannote")]
)
def test_the_default_segmentation(cache: Cache, fetched: bool, segmentation: str, preset: str) -> None:
    cache(fetched)
    made = options()
    assert (made.models.embedding, made.models.segmentation) == ("bundled", segmentation)
    assert (made.pipeline.tau, made.pipeline.rho, made.pipeline.delta) == PRESETS[preset]
    assert options("--segmentation", "bundled").models.segmentation == "bundled"


@pytest.mark.parametrize(
    ("embedding", "segmentation", "preset"),
    [
        ("bundled", "bundled", "bundled"),
        ("bundled", "oracle", "bundled"),
        ("bundled", PAPERS, "bundled-pyannote"),
        ("pyannote/embedding", PAPERS, "dihard3"),
        ("pyannote/embedding", "bundled", "dihard3"),
        ("some.ckpt", PAPERS, "dihard3"),
    ],
)
def test_each_known_pair_has_its_thresholds(embedding: str, segmentation: str, preset: str) -> None:
    named = ("--embedding", embedding, "--segmentation", segmentation)
    made = options(*named).pipeline
    assert (made.tau, made.rho, made.delta) == PRESETS[preset]
    other = options(*named, "--preset", "ami", "--rho", "0.25").pipeline
    assert (other.tau, other.rho, other.delta) == (0.507, 0.25, 1.057)


@pytest.mark.parametrize(
    ("fetched", "line"),
    [
        (True, f"diartbench: embedding bundled, segmentation {PAPERS}"),
        (False, f"diartbench: embedding bundled, segmentation bundled (`python -m variants fetch {PAPERS}`*"),
    ],
)
def test_the_first_lines_of_a_run_say_it(pytester: pytest.Pytester, cache: Cache, fetched: bool, line: str) -> None:
    cache(fetched)
    pytester.makeconftest('pytest_plugins = ["bench.plugin"]\n')
    pytester.runpytest_inprocess("--collect-only").stdout.fnmatch_lines([line])


def test_both_sides_of_a_gate_get_the_resolved_default(
    pytester: pytest.Pytester, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: dict[str, Any] = {}

    def compare_with(self: Any, revision: str, options: dict[str, Any]) -> None:
        sent.update(options)
        raise UserError("enough")

    class Made:
        options = None
        conditions: Callable[..., dict[str, Any]] = lambda self: {}
        folder = Path()

        def __init__(self, *_: Any) -> None: ...

        def prepare(self, timed: bool) -> None: ...

    monkeypatch.setattr("bench.run.run.Run", Made)
    monkeypatch.setattr("bench.gate.gate.Gate.compare_with", compare_with)
    cache(fetched=True)
    pytester.makeconftest('pytest_plugins = ["bench.plugin"]\n')
    pytester.runpytest_inprocess("--pyargs", "bench", "--gate", "--against", "HEAD", "--variants", "baseline")
    assert sent["segmentation"] == PAPERS


@pytest.mark.parametrize(("trained", "chunk", "said"), [(10.0, 5.0, True), (5.0, 5.0, False), (10.0, 10.0, False)])
def test_a_chunk_that_the_segmentation_was_not_trained_on_is_said(
    trained: float, chunk: float, said: bool, stock: Any, tmp_path: Path
) -> None:
    net = PyanNet(lstm={"hidden_size": 4, "num_layers": 1})
    net.specifications = Specifications(
        Problem.MULTI_LABEL_CLASSIFICATION, Resolution.FRAME, trained, classes=["a"], permutation_invariant=True
    )
    models = Models(ModelOptions("bundled", "named", None, False), chunk, ["baseline"])
    vars(models).update(root=stock, _segmentation_root=net, segmentation_trained=True)

    class Corpus:
        problems: tuple[str, ...] = ()
        recordings: tuple[Any, ...] = ()

    lines = conditions.notes(models, Corpus())  # type: ignore[arg-type]
    expected = f"the segmentation was trained on chunks of {trained:g} s, not of {chunk:g} s (--chunk)"
    assert (expected in lines) == said
    assert models.trained_duration == trained
    models.options = ModelOptions("bundled", "oracle", None, False)
    assert models.trained_duration is None
