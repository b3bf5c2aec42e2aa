"""`python -m bench.studies costs`: cells that can be, rows and lines of what was measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.latency.results import Latency
from bench.pipeline.staged import PipelineSettings
from bench.statistics import Ratio
from bench.studies import costs


def latency(mean: float, ratio: Ratio | None = None) -> Latency:
    return Latency(mean, 0.0, {"p50": 9.0}, {}, ratio, None, "", "", 4)


@pytest.mark.parametrize(("chunk", "step", "late"), [(2.0, 0.25, 2.0), (10.0, 0.25, 3.0), (0.2, 0.2, 0.2)])
def test_latency_and_step_fit_into_the_chunk(chunk: float, step: float, late: float) -> None:
    class Given:
        pipeline = PipelineSettings(5.0, 0.25, 3.0)

    settings: list[Any] = []
    original = costs.replace
    try:
        costs.replace = lambda of, **changes: settings.append(changes) if of is Given else original(of, **changes)
        costs.of_length(Given, chunk)  # type: ignore[arg-type]
    finally:
        costs.replace = original
    assert settings == [{"pipeline": replace(Given.pipeline, duration=chunk, step=step, latency=late)}]


def test_a_row_has_the_baselines_milliseconds_and_the_others_ratios() -> None:
    found = {"baseline": latency(0.0525), "best": latency(0.01, Ratio(0.2, 0.19, 0.215, 40))}
    assert costs.row(5.0, 0.1, found, ["baseline", "best", "gone"]) == (
        "5, 0.1",
        "52.5",
        "19.0, 20.0 [19.0, 21.5]",
        "-",
    )


def test_the_figure_has_a_panel_for_each_length_and_a_line_for_each_variant() -> None:
    found = {
        (5.0, 0.1): {"baseline": latency(0.05), "best": latency(0.01)},
        (5.0, 1.0): {"baseline": latency(0.06), "best": latency(0.02)},
        (2.0, 0.1): {"baseline": latency(0.03)},
    }
    first, second = costs.figure(found, ["baseline", "best"]).axes
    assert [axes.get_title(loc="left") for axes in (first, second)] == ["chunk of 2 s", "chunk of 5 s"]
    assert {line.get_label(): line.get_xydata().tolist() for line in second.lines} == {
        "baseline": [[0.1, 50.0], [1.0, 60.0]],
        "best": [[0.1, 10.0], [1.0, 20.0]],
    }
    assert first.lines[0].get_xydata().tolist() == [[0.1, 30.0]]
