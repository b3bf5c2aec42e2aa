"""DER at each variant's step: what is as the baseline is known at once, the others get the time that is left."""

import argparse
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import variants
from bench.advise import measure
from bench.advise.sweep import sweep
from bench.corpus import Recording
from bench.run.options import add_options, parse
from bench.run.run import Run
from variants.registry import _registry


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stock: nn.Module, segmenter: Any, clip: Recording) -> Run:
    """Of `shared-trunk`, which is exact, and of a noisy variant, on ten seconds."""
    monkeypatch.setattr(variants.registry, "_registry", dict(_registry))

    @variants.variant("noisy", tolerance=1.0)
    def noisy(model: nn.Module) -> nn.Module:
        model.get_parameter("embedding.weight").data *= 1.001
        return model

    made = Run(_options(), ["shared-trunk", "noisy"], tmp_path, lambda *_: None)
    vars(made.models).update(
        root=stock, segmentation=variants.as_segmentation_model(segmenter), _segmentation_root=segmenter
    )
    monkeypatch.setattr("bench.run.cores.threads.apply", lambda threads: None)
    monkeypatch.setattr("bench.run.corpus.choose", lambda *_: ([clip], []))
    return made


def _options() -> Any:
    parser = argparse.ArgumentParser()
    add_options(parser.add_argument)
    given = parser.parse_args(["--accuracy-budget", "0", "--segmentation", "bundled", "--step", "1"])
    return parse(lambda name: getattr(given, name))


def test_scores_and_sweep(run: Run) -> None:
    steps = {"baseline": 1.0, "shared-trunk": 1.0, "noisy": 2.0}
    found = measure.scores(run, steps, lambda done: None)
    assert list(found) == ["noisy", "baseline", "shared-trunk"]  # the longest step first: it costs least
    der, judged = found["shared-trunk"]
    assert judged is not None and judged.identical and judged.verdict == "within tolerance"
    assert der == found["baseline"][0] is not None and found["baseline"][1] is None
    unheard = found["noisy"][1]
    assert unheard is not None and unheard.verdict == "not resolved" and not unheard.identical
    left = iter([1.0, 0.0])
    cells = sweep(run, "noisy", 2.0, lambda: next(left), lambda done: None)
    assert list(cells) == [(2.0, 3.0)] and cells[2.0, 3.0] == pytest.approx(found["noisy"][0])
