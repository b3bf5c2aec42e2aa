"""Live streams of a run's variants: made of its models, measured once, and forgotten afterwards."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import variants
from bench.corpus import Recording
from bench.run.options import Options
from bench.run.run import Run
from variants import UserError
from variants.exact.memory import STREAMS, memories


@pytest.fixture
def run(
    options: Callable[..., Options], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stock: nn.Module, segmenter: Any,
    clip: Recording,
) -> Run:  # fmt: skip
    """Of `cached-sinc`, with small models and a short recording; no threads are claimed."""
    made = Run(options("--budget", "7", "--seed", "3", "--step", "0.5"), ["cached-sinc"], tmp_path, lambda *_: None)
    segmentation = variants.as_segmentation_model(segmenter)
    vars(made.models).update(root=stock, segmentation=segmentation, _segmentation_root=segmenter)
    vars(made.corpus).update(recordings=[clip])
    monkeypatch.setattr("bench.run.cores.threads.apply", lambda threads: None)
    return made


def test_capacity(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    (memory,) = memories([run.models["cached-sinc"]])

    def measured(make: Any, audio: Any, way: str, *rest: Any) -> str:
        streams = make(6)
        assert memory.room == 6 and len(memory) == 0
        for index in range(2):
            labels = streams([(stream, audio.chunk(stream, index)) for stream in range(6)])
            assert all(one is not None for one in labels)
        assert len(memory) == 6 and streams.missed == 0 and not streams.failed
        asked.append((way, *rest))
        return way

    monkeypatch.setattr("bench.run.live.measure", measured)
    assert run.live.capacity("cached-sinc") == ["in turn", "batched"]
    assert asked == [("in turn", 7.0, 1, 3, None), ("batched", 7.0, 1, 3, None)]
    assert memory.room == STREAMS and len(memory) == 0
    assert run.live.capacity("cached-sinc") is run.live.capacities["cached-sinc"] and len(asked) == 2


def test_soak(run: Run) -> None:
    found = run.live.soak("cached-sinc", 0.05)  # 3 s: six chunks of two streams
    assert found.hours == pytest.approx([0.5 / 3600 * i for i in range(1, 7)])
    assert (found.rss > 1e8).all() and (found.latency > 0).all() and (found.state > 1e6).all()
    assert memories([run.models["cached-sinc"]])[0].room == STREAMS


def test_an_oracle_hears_no_streams(run: Run, options: Callable[..., Options]) -> None:
    vars(run.models)["options"] = options("--segmentation", "oracle").models
    with pytest.raises(UserError, match="oracle: live streams have no reference"):
        run.live.streams("baseline", 1)


def test_outlook(run: Run) -> None:
    assert run.live.outlook("bench_capacity", 3, 10.0) == "3 variants, in turn and batched, 7 s each: about 42 s"
    assert run.live.outlook("bench_soak", 3, 10.0).startswith("3 variants, 10 minutes of audio of 2 streams each")
