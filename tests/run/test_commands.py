"""`python -m bench`: scoring and tuning, and which part of a corpus a run uses."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import bench
import variants
from bench.__main__ import main
from bench.accuracy.scoring import _identity, take
from bench.accuracy.tune import tune
from bench.corpus import Recording
from bench.pipeline.staged import PipelineSettings
from bench.studies.__main__ import STUDIES


def recordings(*durations: float) -> list[Any]:
    return [SimpleNamespace(name=str(i), duration=duration) for i, duration in enumerate(durations)]


@pytest.mark.parametrize(
    ("durations", "seconds", "expected"),
    [
        ((30, 60, 40), None, [(0, None), (1, None), (2, None)]),
        ((30, 60, 40), 90, [(0, None), (1, None)]),
        ((30, 60, 40), 60, [(0, None), (1, 30)]),
        ((30, 60, 40), 35, [(0, None)]),  # 5 s are too little to be worth a file
        ((300,), 90, [(0, 90)]),
        ((8,), 5, [(0, 5)]),
    ],
)
def test_take(durations: tuple[float, ...], seconds: float | None, expected: list[tuple[int, float | None]]) -> None:
    files = recordings(*durations)
    assert take(files, seconds) == [(files[i], part) for i, part in expected]


def test_score_prints_the_tables(clip: Recording, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["score", "--corpus", str(clip.path.parent), "--segmentation", "oracle"]) == 0
    text = capsys.readouterr().out
    assert "Accuracy" in text and "DER % by file" in text and "segmentation: oracle" in text
    assert "timed on" not in text


def test_errors_are_one_line(capsys: Any) -> None:
    assert main(["score", "--corpus", "nowhere"]) == 1
    assert main(["tune", "--variants", "distiled"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and "nowhere" in lines[0] and "known are: baseline" in lines[1]


def test_tune_finds_the_lowest_and_starts_where_it_was_told() -> None:
    seen: list[PipelineSettings] = []

    def objective(settings: PipelineSettings) -> float:
        seen.append(settings)
        return (settings.tau - 0.3) ** 2 + (settings.rho - 0.6) ** 2 + (settings.delta - 1.2) ** 2

    start = PipelineSettings(step=0.5, latency=1.0)
    best, value = tune(objective, start, trials=30, seed=0)
    assert seen[0] == start and len(seen) == 30
    assert value == min(objective(s) for s in seen[:30]) < objective(start)
    assert replace(best, tau=start.tau, rho=start.rho, delta=start.delta) == start


def test_identity_tells_somebody_elses_forward_from_its_parent(stock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants.registry, "_registry", dict(variants.registry._registry))

    @variants.variant("patched", tolerance=1)
    def patched(model: Any) -> Any:
        model.forward = lambda *args, **kwargs: None
        return model

    def identity(name: str) -> str | None:
        return _identity(name, variants.build(name, stock))

    assert identity("baseline") == identity("baseline-twin")
    assert identity("patched") != identity("baseline")


@pytest.mark.parametrize("former", sorted(path.stem for path in (Path(bench.__path__[0]) / "former").glob("[a-z]*.py")))
def test_former_names_say_what_they_are_called_now(former: str) -> None:
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"bench.{former}", run_name="__main__")
    now = str(ended.value.code).removeprefix(f"python -m bench.{former} is now: python -m bench.studies ")
    assert now in STUDIES
