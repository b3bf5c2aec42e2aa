"""`python -m bench history`: what it lists, pins, deletes and exports; the file of pins; how a run is named."""

import csv
import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import __main__ as commands
from bench.history.pins import FILE, Pins
from bench.history.runs import StoredRun, find, read_runs, superfluous
from variants.errors import UserError

Save = Callable[..., Path]


@pytest.fixture(autouse=True)
def on_a_xeon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "cpu_model", lambda: "Xeon")


def history(storage: Path, *arguments: str) -> int:
    return commands.main(["history", "--storage", str(storage), *arguments])


def left(storage: Path) -> list[str]:
    return sorted(path.name[:4] for path in storage.rglob("0*.json"))


def test_show(storage: Path, save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    save(3, 0.25, where="Linux")
    save(1, 0.5, cpu="Epyc")
    save(2, 0.2)
    (storage / "0004_torn.json").write_text('{"benchmarks": [')
    (storage / "0005_foreign.json").write_text('{"benchmarks": [], "machine_info": {}, "datetime": ""}')
    assert history(storage, "pin", "2") == 0
    assert history(storage, "--variants", "best, gone") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "pinned 0002_run2.json"
    titles = [line.strip() for line in lines if "ratios to the baseline" in line]
    assert titles == [f"pipeline, ratios to the baseline: {cpu}" for cpu in ("Xeon (this machine)", "Epyc")]
    rows = [line.split() for line in lines if "_run" in line and not line.startswith("pinned")]
    assert [row[0] for row in rows] == ["0002_run2.json", "Linux/0003_run3.json", "0001_run1.json"]
    assert rows[0] == ["0002_run2.json", "2026-01-02", "10:30", "0000000+", "1", "e,", "s", "101.0", "[100.0,",
                       "102.0]", "20.0", "[19.8,", "20.2]", "-", "pinned"]  # fmt: skip
    assert rows[1][-4:] == ["25.0", "[24.8,", "25.2]", "-"]
    assert any(line.startswith("0004_torn.json: no run of this project") for line in lines)
    assert any(line.startswith("0005_foreign.json: no run of this project") for line in lines)


def test_nothing_stored_is_one_line(storage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (storage, tmp_path / "nowhere"):
        assert history(folder) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"bench: {folder}") and "--benchmark-save" in line
    assert history(storage, "pin") == 1 and "no stored run of this CPU model, Xeon" in capsys.readouterr().err


def test_pins_are_one_for_each_set_of_conditions(storage: Path, save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    for number, facts in enumerate([{}, {}, {"threads": 2}, {"cpu": "Epyc"}], 1):
        save(number, **facts)
    (one, two, threads, epyc), _ = read_runs(storage)
    for name in ("1", "run3", str(epyc.path), "0002_run2"):
        assert history(storage, "pin", name) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "pinned 0002_run2.json instead of 0001_run1.json"
    pins = Pins(storage)
    assert [pins.of(run.conditions) for run in (one, two, threads, epyc)] == [
        two.name,
        two.name,
        threads.name,
        epyc.name,
    ]
    assert pins.of(one.conditions | {"timed_on": ["b"]}) is None
    assert history(storage, "unpin", "3") == 0
    assert Pins(storage).names == {two.name, epyc.name}
    assert history(storage, "unpin", "3") == 1 and "0003_run3.json is not pinned" in capsys.readouterr().err
    two.path.unlink()
    assert history(storage, "unpin", two.name) == 0 and Pins(storage).names == {epyc.name}
    assert history(storage, "pin") == 0 and Pins(storage).of(one.conditions) is None  # the last of this machine: 3
    assert Pins(storage).of(threads.conditions) == threads.name


@pytest.mark.parametrize("text", ["", "[]", '{"pins": []}', '{"schema": "diartbench-pins/9", "pins": []}',
                                  '{"schema": "diartbench-pins/1", "pins": [{"run": "x"}]}'])  # fmt: skip
def test_another_file_of_that_name_is_said(
    storage: Path, save: Save, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    save(1)
    (storage / FILE).write_text(text)
    for action in (["show"], ["pin", "1"], ["prune", "--keep", "0"]):
        assert history(storage, *action) == 1
        assert "pinned.json: not what `python -m bench history pin` writes" in capsys.readouterr().err
    assert left(storage) == ["0001"] and (storage / FILE).read_text() == text


def _pin(storage: Path, number: int, barrier: Any) -> None:
    runs, _ = read_runs(storage)
    barrier.wait()
    Pins(storage).pin(runs[number])


def test_two_pins_at_once_both_stay(storage: Path, save: Save) -> None:
    for number in range(1, 5):
        save(number, threads=number)
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    at_work = [context.Process(target=_pin, args=(storage, number, barrier)) for number in range(4)]
    for process in at_work:
        process.start()
    for process in at_work:
        process.join()
    assert len(Pins(storage).names) == 4


def test_prune_keeps_the_last_the_pinned_and_other_machines(
    storage: Path, save: Save, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(1, 8):
        save(number, cpu="Epyc" if number in (2, 3) else "Xeon", where="Linux" if number == 4 else ".")
    other = storage / "0000_theirs.json"
    other.write_text("{}")
    assert history(storage, "pin", "1") == 0
    assert history(storage, "prune", "--keep", "2", "--dry-run") == 0
    assert left(storage) == ["0000", "0001", "0002", "0003", "0004", "0005", "0006", "0007"]
    assert history(storage, "prune", "--keep", "2") == 0
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "deleted Linux/0004_run4.json", "deleted 0005_run5.json", "5 of 7 runs stay",
    ]  # fmt: skip
    assert left(storage) == ["0000", "0001", "0002", "0003", "0006", "0007"]
    assert history(storage, "prune", "--keep", "0", "--all-machines") == 0
    assert left(storage) == ["0000", "0001"]


@given(
    cpus=st.lists(st.sampled_from("ab"), max_size=12),
    keep=st.integers(0, 12),
    pinned=st.sets(st.integers(0, 11)),
    cpu=st.sampled_from(["a", "b", None]),
)
def test_what_is_superfluous(cpus: list[str], keep: int, pinned: set[int], cpu: str | None) -> None:
    runs = [StoredRun(str(i), Path(str(i)), "", "", {"cpu": c}, {}, {}) for i, c in enumerate(cpus)]
    gone = {int(run.name) for run in superfluous(runs, keep, {str(i) for i in pinned}, cpu)}
    for i, model in enumerate(cpus):
        later = cpus[i + 1 :].count(model)
        assert (i in gone) == (later >= keep and i not in pinned and cpu in (None, model))


def test_a_name_must_mean_one_run(storage: Path, save: Save) -> None:
    save(1)
    save(1, where="Linux")
    runs, _ = read_runs(storage)
    assert find(runs, "Linux/0001_run1.json").name == "Linux/0001_run1.json"
    with pytest.raises(UserError, match=r"^1: more than one run is called that .0001_run1\.json, Linux/0001_run1"):
        find(runs, "1")
    with pytest.raises(UserError, match=r"^run2: no stored run is called that"):
        find(runs, "run2")


def test_export(storage: Path, save: Save, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(1, 0.5, embedding='a "quoted", one')
    save(2, 0.25)
    path = save(3, 0.3, cpu="Epyc")
    path.write_text(path.read_text().replace(f"{1.01 * 0.3}", "1e9"))
    table, bmf = tmp_path / "runs.csv", tmp_path / "bmf.json"
    assert history(storage, "export", "--csv", str(table), "--bencher", str(bmf)) == 0
    with table.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["run"], row["variant"]) for row in rows][2:5] == [
        ("0001_run1.json", "best"), ("0002_run2.json", "baseline"), ("0002_run2.json", "baseline-twin"),
    ]  # fmt: skip
    best = rows[2]
    assert (best["embedding"], best["ratio"], best["ratio_low"]) == ('a "quoted", one', "0.5", "0.495")
    assert (best["memory_mib"], best["operations_int8"], best["cpu"]) == ("", "3", "Xeon")
    found = json.loads(bmf.read_text())
    assert list(found) == ["pipeline/baseline", "pipeline/baseline-twin", "pipeline/best"]
    assert found["pipeline/best"] == {
        "latency": {"value": 2.5e8},
        "file-size": {"value": 2097152.0},
        "der": {"value": 20.0},
        "ratio-to-baseline": {"value": 0.25, "lower_value": 0.2475, "upper_value": 0.2525},
    }
    assert history(storage, "export", "3", "--bencher", str(bmf)) == 0
    ratio = json.loads(bmf.read_text())["pipeline/best"]["ratio-to-baseline"]
    assert ratio == {"value": 0.3, "lower_value": 0.297}  # infinite: Bencher has none
    assert history(storage, "export") == 1 and "--csv or --bencher" in capsys.readouterr().err
