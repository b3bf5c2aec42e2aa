"""Variants taken apart: by hand, and on a graph whose operators are known."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from bench.latency.interleave import BLOCK, LEAD
from bench.latency.profile import BLOCKS, OUTSIDE, Profile, _block, _median, _runs, profile, watched_sessions
from bench.report.profile import facts, operators
from bench.run.options import add_options, parse
from variants import UserError
from variants.runtime.onnx import write_onnx


def node(operator: str, start: int, duration: int) -> dict[str, Any]:
    return {"cat": "Node", "name": f"n_{operator}_kernel_time", "ts": start, "dur": duration,
            "args": {"op_name": operator}}  # fmt: skip


def test_the_nodes_of_each_run_and_their_own_time() -> None:
    """In µs. The `If` of the second run takes 70, of which its `Conv` takes 50."""
    run = {"cat": "Session", "name": "model_run", "args": {}}
    events = [
        {"cat": "Session", "name": "session_initialization", "ts": 0, "dur": 90},
        node("Conv", 100, 30), node("Add", 130, 5), run | {"ts": 99, "dur": 41},
        node("Conv", 205, 50), node("If", 201, 70), node("Add", 271, 5), run | {"ts": 200, "dur": 80},
        {"cat": "Node", "name": "n_If_fence_before", "ts": 201, "dur": 1, "args": {"op_name": "If"}},
    ]  # fmt: skip
    first, second = _runs(events)
    assert first == {"ONNX Conv": (pytest.approx(30e-6), 1), "ONNX Add": (pytest.approx(5e-6), 1)}
    assert second == {
        "ONNX If": (pytest.approx(20e-6), 1),
        "ONNX Conv": (pytest.approx(50e-6), 1),
        "ONNX Add": (pytest.approx(5e-6), 1),
    }


def test_a_block_has_its_own_runs_only_and_what_is_left_is_outside() -> None:
    chunks = BLOCK - LEAD
    runs = [[{"ONNX Conv": (1.0, 1.0)}] * 2 + [{"ONNX Conv": (0.3, 2.0)}] * chunks, [{"ONNX Add": (9.0, 1.0)}]]
    found = _block(chunks * 1.0, {"torch mm": (0.6, 6.0)}, [range(2, 2 + chunks), range(0)], runs)
    assert found.seconds == 1.0
    assert found.operators["ONNX Conv"] == (pytest.approx(0.3), 2) and "ONNX Add" not in found.operators
    assert found.operators["torch mm"] == (pytest.approx(0.6 / chunks), 6 / chunks)
    assert found.operators[OUTSIDE] == (pytest.approx(1 - 0.3 - 0.6 / chunks), 0)


def test_medians_over_blocks() -> None:
    blocks = [Profile(s, {"a": (s / 2, 1.0)} | ({"b": (1.0, 1.0)} if s > 2 else {})) for s in (1.0, 2.0, 9.0)]
    assert _median(blocks) == Profile(2.0, {"a": (1.0, 1.0), "b": (0.0, 0.0)})


class Twice:
    """Runs a graph of one Conv twice an item, and one multiplication of matrices."""

    def __init__(self, session: Any, times: int) -> None:
        self.session, self.times = session, times

    def start(self, stream: object) -> None: ...

    def __call__(self, item: np.ndarray) -> dict[str, float]:
        for _ in range(self.times):
            self.session.run(None, {"inputs": item})
        torch.ones(4, 4) @ torch.ones(4, 4)
        return {}


def test_calls_are_counted_for_each_subject(tmp_path: Path) -> None:
    inputs = torch.randn(1, 2, 9)
    path = write_onnx(nn.Conv1d(2, 3, 3), tmp_path / "conv.onnx", {"inputs": inputs}, "outputs", {})
    whole = onnxruntime.InferenceSession
    with watched_sessions(tmp_path) as sessions:
        subjects = {
            f"{times} times": Twice(onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]), times)
            for times in (1, 2)
        }
        subjects["2 times"].session.run(None, {"inputs": inputs.numpy()})  # before it is measured: counts for nobody
    assert onnxruntime.InferenceSession is whole
    found = profile(subjects, [(None, [inputs.numpy()] * (2 * BLOCK))], sessions)
    for times, name in ((1, "1 times"), (2, "2 times")):
        mine = found[name].operators
        assert {key: calls for key, (_, calls) in mine.items() if "Conv" in key} == {"ONNX Conv": times}
        assert mine["torch aten::mm"][1] == 1
        assert 0 < mine["ONNX Conv"][0] < found[name].seconds
        assert sum(session.runs for session in sessions) == 1 + BLOCKS * BLOCK * 3


def test_the_table_puts_first_what_differs_most_and_sums_up_the_rest() -> None:
    first = Profile(
        0.020, {"conv": (0.015, 3.0), "add": (0.001, 1.0)} | {f"op{i:02}": (0.0001, 1.0) for i in range(15)}
    )
    second = Profile(0.010, {"qconv": (0.004, 3.0), "add": (0.003, 2.0)})
    found = facts({"pipeline": {"a": first, "b": second}})
    assert found is not None and found["variants"] == ["a", "b"] and facts({}) is None
    caption, columns, rows = operators(found, "pipeline")
    assert caption.startswith("Operators, pipeline: b less a") and columns[1:3] == ["a, ms", "b, ms"]
    assert rows[:3] == [
        ["conv", "15.000", "0.000", "-15.000", "3", "0"],
        ["qconv", "0.000", "4.000", "+4.000", "0", "3"],
        ["add", "1.000", "3.000", "+2.000", "1", "2"],
    ]
    assert rows[-2:] == [
        ["3 others", "0.300", "0.000", "-0.300", "", ""],
        ["a chunk", "20.000", "10.000", "-10.000", "", ""],
    ]


@pytest.mark.parametrize(
    ("value", "pattern"),
    [("best", "name two variants"), ("best,best", "name two variants"), ("best,bets", "unknown variant 'bets'")],
)
def test_two_variants_that_there_are(value: str, pattern: str) -> None:
    import argparse

    parser = argparse.ArgumentParser()
    add_options(parser.add_argument)
    values = vars(parser.parse_args(["--profile", value]))
    with pytest.raises(UserError, match=pattern):
        parse(values.__getitem__)


def test_the_run_takes_them_apart_once_all_is_measured(
    made_project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {"baseline": Profile(0.1, {"conv": (0.09, 9.0)}), "distilled": Profile(0.08, {"conv": (0.07, 8.0)})}
    monkeypatch.setattr("bench.run.run.profiles", lambda options, corpus, kinds, _: dict.fromkeys(kinds, made))
    asked = ("--variants", "distilled", "--profile", "baseline,distilled", "--report", "page", "-k", "pipeline")
    result = made_project.runpytest_inprocess("--pyargs", "bench", *asked)
    result.stdout.fnmatch_lines(["*Operators, pipeline: distilled less baseline*", "*conv*90.000*70.000*-20.000*9*8*"])
    assert "Operators, pipeline" in (made_project.path / "page/index.html").read_text()
