"""`python -m bench`: scoring and tuning, and which part of a corpus a run uses."""

import os
import runpy
import subprocess
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pyannote.core import Annotation, Segment, Timeline

import bench
import variants
from bench.__main__ import main
from bench.accuracy.parts import take
from bench.accuracy.scoring import _identity
from bench.accuracy.tune import tune
from bench.corpus import Recording
from bench.pipeline.staged import PipelineSettings
from bench.studies.__main__ import STUDIES

CHECKOUT = Path(bench.__file__).parents[1]


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


def labelled(
    duration: float, turns: list[tuple[float, float]] | None = None, uem: list[tuple[float, float]] | None = None
) -> Recording:
    reference = None if turns is None else Annotation.from_records(
        ((Segment(*turn), i, "ann") for i, turn in enumerate(turns))
    )  # fmt: skip
    regions = None if uem is None else Timeline([Segment(*region) for region in uem])
    return Recording("a", Path("a.wav"), reference, regions, duration)


@pytest.mark.parametrize(
    ("recording", "end"),
    [
        (labelled(200, [(1, 5), (100, 150)]), 60),
        (labelled(200, [(1, 5), (100, 150)], [(90, 200)]), 150),  # the minute from 90 s on
        (labelled(200, [(1, 5), (100, 150)], [(10, 20), (90, 95), (99, 180)]), 144),  # 10 + 5 + 45 s
        (labelled(200, [(100, 101)], [(0, 80), (90, 200)]), 160),  # nobody before 100 s
        (labelled(200, [(90, 101)], [(0, 80), (100, 130)]), 130),  # the first turn that counts begins at 100 s
        (labelled(200, [(59, 150)]), 60),
        (labelled(200, [(60, 150)]), 120),
        (labelled(90, [(70, 80)]), 90),
        (labelled(200), 60),
        (labelled(50, [(1, 25)], [(20, 30)]), None),
    ],
)
def test_quick_accuracy_scores_what_counts(recording: Recording, end: float | None) -> None:
    ((found, seconds),) = take([recording], 60, scored=True)
    assert found is recording and seconds == end
    if recording.reference is not None:
        within = Timeline([Segment(0, seconds or recording.duration)])
        counted = within.crop(recording.uem) if recording.uem else within
        assert recording.reference.crop(counted).labels() == ["ann"]


def test_quick_accuracy_takes_what_has_a_reference_first() -> None:
    silent, long, short = labelled(80), labelled(300, [(1, 220)], [(200, 240)]), labelled(70, [(1, 9)])
    assert take([silent, long, short], 60, scored=True) == [(long, 240), (short, 20)]
    assert take([silent, long, short], None, scored=True) == [(silent, None), (long, None), (short, None)]
    assert take([silent, long, short], 60) == [(silent, 60)]


def test_quick_accuracy_takes_where_most_voices_speak_soon() -> None:
    two, three = labelled(64, [(1, 5)]), labelled(64, [(1, 5)])
    assert two.reference is not None and three.reference is not None
    two.reference[Segment(6, 9)] = two.reference[Segment(62, 63)] = "ben"
    two.reference[Segment(61, 64), "later"] = "eve"
    three.reference[Segment(6, 9)], three.reference[Segment(8, 12)] = "ben", "eve"
    assert take([two, three], 60, scored=True) == [(three, 60)]


def test_score_prints_the_tables(clip: Recording, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["score", "--corpus", str(clip.path.parent), "--segmentation", "oracle"]) == 0
    text = capsys.readouterr().out
    assert "Accuracy" in text and "DER % by file" in text and "segmentation: oracle" in text
    assert "timed on" not in text


def test_score_without_a_reference_is_no_success(
    clip: Recording, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bare[").mkdir()
    Path("bare[/clip.wav").symlink_to(clip.path)
    Path("bare[/x].wav").touch()  # [/x] is markup to rich
    asked = ["score", "--corpus", "bare[", "--step", "2.5"]
    assert main(asked) == 1
    printed = capsys.readouterr()
    assert "disagreement" in printed.out and "bare[/x].wav: unreadable audio" in printed.out
    assert printed.err == "bench: no DER was scored: no recording has a reference; name their RTTM by --rttm\n"
    rttm = ["--rttm", str(clip.path.with_suffix(".rttm"))]
    assert main([*asked, *rttm, "--segmentation", "oracle"]) == 0


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


def test_tune_hears_each_file_under_as_many_perturbations_as_asked_for(
    clip: Recording, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    files: list[Any] = []

    def recorded(given: list[Any], *others: Any) -> Any:
        files.extend(given)
        return lambda settings: settings.tau

    monkeypatch.setattr("bench.__main__.recorded_objective", recorded)
    asked = ["tune", "--corpus", str(clip.path.parent), "--segmentation", "oracle", "--trials", "1", "--heard", "3"]
    assert main(asked) == 0
    waves = [np.asarray(file.waveforms) for file in files]
    assert len(waves) == 3 and not any(np.array_equal(one, other) for one, other in combinations(waves, 2))


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


POSIX = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}


def test_a_locale_without_utf8(tmp_path: Path) -> None:
    """What a command writes and prints is UTF-8 all the same, and names of files are read by their bytes."""
    older, run = tmp_path / "älter.json", CHECKOUT / ".benchmarks/0003_third.json"
    older.write_bytes((CHECKOUT / ".benchmarks/0001_first.json").read_bytes())
    for more in ((), ("--out", str(tmp_path / "öut"))):
        command = [sys.executable, "-m", "bench", "report", str(older), str(run), *more]
        done = subprocess.run(command, capture_output=True, env=os.environ | POSIX, cwd=CHECKOUT, check=False)
        assert done.returncode == 0 and done.stderr == b"", done.stderr
        text = done.stdout.decode()
        assert ("öut/index.html" if more else "baseline-twin | 100.6 [99.4, 101.7] | 99.3") in text
    assert "–" in (tmp_path / "öut/summary.md").read_text(encoding="utf-8")
    assert "älter, 2026" in (tmp_path / "öut/index.html").read_text(encoding="utf-8")
