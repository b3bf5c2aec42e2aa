"""Whatever a stored run holds, it is read, or one line says why not. `make fuzz` tries for longer."""

import copy
import json
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.gate.__main__ import read as read_selfcheck
from bench.gate.stored import latest, thresholds
from bench.history.compare import differing_conditions, stored_ratios
from bench.history.storage import SafeStorage
from bench.report.document import finished
from bench.report.page import as_json, summary
from bench.report.stored import older, read
from variants import UserError
from variants.exporting import stored_der
from variants.provenance import Provenance

pytestmark = pytest.mark.fuzz
RUNS = Path(__file__).parents[2] / ".benchmarks"


def small(name: str) -> Any:
    """A run that was really stored, its first variants and rounds only."""
    run = json.loads((RUNS / name).read_bytes())
    kept = [
        b for b in run["benchmarks"] if b["extra_info"]["variant"] in ("baseline", "baseline-twin", "distilled", "best")
    ]
    for benchmark in kept:
        benchmark["stats"]["data"] = benchmark["stats"]["data"][:12]
    return run | {"benchmarks": kept, "machine_info": {}}


STORED = [small("0003_third.json"), small("0004_fourth.json")]
DOCUMENT = json.loads(as_json(read(RUNS / "0003_third.json")))
DOCUMENT["variants"] = DOCUMENT["variants"][:3]
for _variant in DOCUMENT["variants"]:
    for _latency in _variant["latency"].values():
        _latency["rounds_s"] = _latency["rounds_s"][:12]

scalar = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
keyed = st.text(max_size=5)
anything = st.recursive(
    scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keyed, inner, max_size=3), max_leaves=5
)
SELFCHECK = {"recorded": {"none": [{}]}, "live": [], "variant": "x", "kind": "y", "conditions": {}, "seconds": 1}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something is in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


@st.composite
def damaged(draw: st.DrawFn, whole: Any) -> Any:
    """A run in which some values are others, or gone."""
    run = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        found = [place for place in places(run) if place]
        if not found:
            break
        *path, last = draw(st.sampled_from(found))
        holder = run
        for key in path:
            holder = holder[key]
        if draw(st.booleans()) and isinstance(holder, dict):
            del holder[last]
        else:
            holder[last] = draw(anything)
    return run


def content(*whole: Any) -> st.SearchStrategy[bytes]:
    values = st.one_of(anything, *map(damaged, whole))
    return st.binary(max_size=40) | values.map(lambda value: json.dumps(value).encode())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def one_line(error: UserError, path: Path) -> None:
    assert path.name in str(error) and len(str(error).splitlines()) == 1


@settings(deadline=None)
@given(data=content(*STORED, DOCUMENT))
def test_report(folder: Path, data: bytes) -> None:
    path = folder / "x.json"
    path.write_bytes(data)
    try:
        found, past = read(path), older(path)
    except UserError as error:
        return one_line(error, path)
    doc = finished(found, [past])
    assert json.loads(as_json(doc)) == doc
    assert summary(doc).encode()


@settings(deadline=None)
@given(run=st.one_of(anything, *map(damaged, STORED)))
@example(run=STORED[0] | {"benchmarks": [STORED[0]["benchmarks"][0] | {"group": []}]})
def test_gate_and_comparison(run: Any) -> None:
    now = STORED[0]["diartbench"]
    try:
        found = latest([("x", run)], now["machine"]["cpu"])
    except UserError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert all(line for line in found.differing(now)) or found.differing(now) == []
        found.vanished([], ["pipeline"], narrowed=False)
        assert found.same_scoring(now) in (True, False)


@settings(deadline=None)
@given(data=content(*STORED))
def test_storage_names_what_it_skips(folder: Path, data: bytes) -> None:
    path = folder / "here" / "0001_x.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    said: list[str] = []
    storage = SafeStorage(folder, SimpleNamespace(warning=said.append), "here")
    loaded = list(storage.load())
    assert len(loaded) + len(said) == 1 and all("0001_x.json" in line for line in said)
    for _, run in loaded:  # what `--benchmark-compare` sets beside this run's
        list(stored_ratios(run))
        differing_conditions(run, STORED[0]["diartbench"])


@settings(deadline=None)
@given(data=content(*STORED))
def test_export_finds_a_der_or_none(folder: Path, data: bytes) -> None:
    path = folder / "x.json"
    path.write_bytes(data)
    weights = STORED[0]["benchmarks"][-1]["extra_info"]["weights"]
    found = stored_der("best", Provenance(weights["source"], weights["sha256"], trained=True), [path])
    assert found is None or isinstance(found, float)


@settings(deadline=None)
@given(data=content(SELFCHECK))
def test_selfcheck(folder: Path, data: bytes) -> None:
    path = folder / "x.json"
    path.write_bytes(data)
    try:
        read_selfcheck(path)
    except UserError as error:
        one_line(error, path)


toml = st.lists(
    st.sampled_from(["[tool.bench.gate]", "[tool]", "bench = 3", "[tool.bench]", "gate = 5", "default = 5", "best = 1"])
    | st.builds("{} = {}".format, st.sampled_from(["default", "best", "nobody"]), st.floats() | st.text(max_size=3)),
    max_size=4,
).map("\n".join)


@settings(deadline=None)
@given(data=st.binary(max_size=20) | toml.map(str.encode))
@example(data=b"[tool]\nbench = 3")
@example(data=b"# \xff")
@example(data=b"[tool.bench.gate]\ndefault = 5e-324")
@example(data=b"[tool.bench.gate]\ndefault = inf")
def test_thresholds(folder: Path, data: bytes) -> None:
    path = folder / "pyproject.toml"
    path.write_bytes(data)
    try:
        assert all(threshold > 0 for threshold in thresholds(path).values())
    except UserError as error:
        one_line(error, path)


@pytest.mark.parametrize("name", sorted(path.name for path in RUNS.glob("*.json")))
def test_all_runs_of_this_repository_are_read(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(RUNS / name)["variants"]
