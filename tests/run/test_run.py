"""The parts of a run, with small models and made-up rounds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import variants
from bench.latency.interleave import Measurement, Rounds
from bench.latency.kinds import KindName
from bench.run.durations import Took, expected, shown
from bench.run.models import Models
from bench.run.options import ModelOptions, Options
from bench.run.run import Run
from variants import UnavailableError, UserError


def unavailable(model: nn.Module) -> nn.Module:
    raise UnavailableError("needs another CPU")


def wrong(model: nn.Module) -> nn.Module:
    raise RuntimeError("no such layer")


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants.registry, "_registry", dict(variants.registry._registry))
    variants.variant("absent", tolerance=1)(unavailable)
    variants.variant("wrong", tolerance=1)(wrong)
    variants.variant("whole", tolerance=1, segmentation="segments")(lambda model: model)
    variants.variant("lost", tolerance=1, segmentation="no-segments")(lambda model: model)
    for name, technique in (("segments", lambda model: model), ("no-segments", unavailable)):
        variants.variant(name, tolerance=1, parent="segmentation", model="segmentation")(technique)


def models(stock: nn.Module, segmenter: nn.Module, *names: str, source: str = "s", other: str | None = None) -> Models:
    made = Models(ModelOptions("e", source, other, False), 5.0, ["baseline", "baseline-twin", *names])
    stock_segmentation = variants.as_segmentation_model(segmenter)
    vars(made).update(root=stock, segmentation=stock_segmentation, _segmentation_root=segmenter)
    return made


@pytest.mark.usefixtures("registered")
def test_what_cannot_be_built_is_told_apart(stock: nn.Module, segmenter: nn.Module) -> None:
    made = models(stock, segmenter, "absent", "wrong", "whole", "lost")
    made.load()
    assert list(made) == ["baseline", "baseline-twin", "whole"] and len(made) == 3
    assert made.skipped == {"absent": "needs another CPU", "lost": "needs another CPU"}
    assert made.broken == {"wrong": "cannot be built: RuntimeError: no such layer"}
    assert made.trained == dict.fromkeys(made, True)


@pytest.mark.usefixtures("registered")
def test_segmentation_of_each_pipeline(stock: nn.Module, segmenter: nn.Module) -> None:
    made = models(stock, segmenter, "whole", "shared-trunk")
    assert list(made.others) == ["whole"]
    assert made.segmentation_of("whole") is made.others["whole"] is not made.segmentation
    assert made.segmentation_of("shared-trunk") is made.segmentation_of("baseline") is made.segmentation
    for_all = models(stock, segmenter, "shared-trunk", other="segments")
    assert list(for_all.others) == ["shared-trunk"]  # the baseline and its twin stay what they are
    assert not models(stock, segmenter, "whole", source="oracle").others


@pytest.mark.usefixtures("registered")
def test_some_of_the_models(stock: nn.Module, segmenter: nn.Module) -> None:
    made = models(stock, segmenter, "whole", "shared-trunk")
    assert made.trained.keys() == {"baseline", "baseline-twin", "whole", "shared-trunk"}
    some = made.only(["baseline", "shared-trunk", "absent"])
    assert list(some) == ["baseline", "shared-trunk"] and some.trained == dict.fromkeys(some, True)
    assert some["baseline"] is made["baseline"] and not some.others and list(made.others) == ["whole"]
    assert made.only(["whole"]).others == made.others and len(made) == 4


@pytest.mark.usefixtures("registered")
def test_nothing_goes_without_the_baseline(
    stock: nn.Module, segmenter: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "build", lambda name, root: wrong(root))
    with pytest.raises(UserError, match=r"^the baseline cannot be built: RuntimeError: no such layer$"):
        len(models(stock, segmenter))


class Made:
    """A measurer of two rounds; one variant breaks, one has too little audio."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def measure(self, kind: KindName, progress: Callable[[float], None]) -> Measurement:
        self.log.append(kind)
        rounds = {"baseline": Rounds([1.0, 1.0], [{}, {}], [0, 1]), "baseline-twin": Rounds()}
        return Measurement(rounds, {"shared-trunk": "ValueError: no"})


def test_a_kind_is_measured_once_after_all_that_is_not_timed(
    options: Callable[..., Options], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stock: nn.Module
) -> None:
    log: list[str] = []
    run = Run(options(), ["shared-trunk"], tmp_path, lambda task, done: None)
    built: Any = (dict.fromkeys(["baseline", "baseline-twin", "shared-trunk"], stock), {})
    vars(run.models).update(_built=built)
    monkeypatch.setattr("bench.run.cores.threads.apply", lambda threads: log.append("threads"))
    monkeypatch.setattr(type(run.corpus), "streams", property(lambda self: log.append("streams")))
    monkeypatch.setattr(type(run.scores), "evidence", property(lambda self: log.append("accuracy")))
    monkeypatch.setattr(run.timing, "measure_memory", lambda: log.append("memory"))
    monkeypatch.setattr(run.timing, "find_floors", lambda: log.append("floors"))
    run.timing.measurer = Made(log)
    assert run.rounds("model-only", "baseline") == [1.0, 1.0]
    assert log == ["memory", "accuracy", "streams", "threads", "model-only", "floors"]
    with pytest.raises(UserError, match=r"^shared-trunk failed: ValueError: no$"):
        run.rounds("model-only", "shared-trunk")
    with pytest.raises(UserError, match="baseline-twin: no rounds"):
        run.rounds("model-only", "baseline-twin")
    assert len(log) == 6
    run.rounds("pipeline", "baseline")
    assert log[6:] == ["streams", "threads", "pipeline"]
    assert list(run.timing.kinds) == ["model-only", "pipeline"] and run.timing.kinds["pipeline"].failures


def test_how_long_it_takes() -> None:
    # the README's run: 14 variants, 60 s of audio, two kinds of a minute: 3 minutes
    assert shown(expected(14, 60.0, 120.0, 120.0)) == "4 min"
    assert shown(expected(3, 0.0, 120.0, 60.0, 2 * 5)) == "3 min"  # 5 + 3 + 60 + 10 x 10 s
    took = Took()
    for _ in range(2):
        with pytest.raises(KeyError), took.part("a"):
            raise KeyError
    with took.part("b"):
        pass
    assert list(took) == ["a", "b"] and str(took) == "a 0 s, b 0 s"
    took["b"] = 95.0
    assert str(took) == "a 0 s, b 2 min"
