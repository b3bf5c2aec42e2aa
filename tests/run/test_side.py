"""What the gate of another revision gets from this tree."""

import argparse
from types import SimpleNamespace
from typing import Any

import pytest

from bench.latency.floor import Operations
from bench.latency.quiet import wait_until_quiet
from bench.latency.threads import Threads
from bench.run import side as module
from bench.run.options import Options, add_options, parse
from bench.run.side import Side, side
from variants import UserError


class Models(list[str]):
    skipped, broken = {"openvino": "not installed"}, {"best": "raised"}


class Made:
    """A run that loads nothing; it tells in which order it was asked for what."""

    log: list[Any] = []  # noqa: RUF012
    timing: Any

    def __init__(self, options: Options, selected: list[str], *_: Any) -> None:
        self.log[:] = [options, selected]
        self.models = Models(selected)
        self.cores = SimpleNamespace(threads=Threads(2, (4, 5)), claim=lambda: self.log.append("claim"))
        Made.timing = SimpleNamespace(subject=lambda *asked: asked)
        self.corpus = self

    def counted(self, name: str) -> dict[str, Any]:
        return {"operations": None, "size_mib": 16.0, "memory_mib": None, "counts": {"sessions": 1}}

    def prepare(self, timed: bool) -> None:
        self.log.append(("prepare", timed))

    @property
    def streams(self) -> list[Any]:
        self.log.append("streams")
        return [("file", ["item"])]


@pytest.fixture(autouse=True)
def no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Run", Made)


def test_what_a_side_is_made_of() -> None:
    values = {"seed": 7, "corpus": "some/folder", "skip_overlap": True, "an option of another revision": 1}
    found = side(values, ["baseline", "of another revision", "distilled"])
    options, names, *after = Made.log
    parser = argparse.ArgumentParser()
    add_options(parser.add_argument)
    given = parser.parse_args(["--seed", "7", "--corpus", "some/folder", "--skip-overlap"])
    assert options == parse(vars(given).__getitem__)
    assert names == ["baseline", "distilled"] == found.names
    assert after == [("prepare", True), "streams", "claim"]  # the last word is to the threads
    assert found.broken == {"openvino": "not installed", "best": "raised"} and found.cpus == (4, 5)
    assert "of another revision" not in found.registered and {"baseline", "openvino"} <= {*found.registered}
    assert found.streams == [("file", ["item"])] and found.subject("pipeline", "baseline") == ("pipeline", "baseline")
    assert found.pinned("baseline") and not found.pinned("distilled-onnx") and found.quiet is wait_until_quiet


def test_a_second_copy_of_a_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Models, "build", lambda self, name: f"{name}, made anew", raising=False)
    found = side({}, ["distilled-onnx"])
    copied = ("pipeline", "distilled-onnx", "distilled-onnx, made anew")
    assert found.subject("pipeline", "distilled-onnx again") == copied
    assert not found.pinned("distilled-onnx again") and found.pinned("baseline again")


def test_counts_are_taken_of_one_variant_by_name() -> None:
    found = side({}, ["baseline"])
    asked: list[str] = []
    Made.timing.take_footprint = asked.append
    Made.timing.executed = lambda name: Operations(6.0, 4.0)
    assert found.counts("baseline") == {"operations": 5.0, "size": 16.0, "sessions": 1.0}
    Made.timing.executed = lambda name: None
    assert "operations" not in found.counts("baseline") and asked == ["baseline"] * 2


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UserError, match="unknown kind 'embedding'; known are: model-only, pipeline"):
        side({}, ["baseline"]).subject("embedding", "baseline")


def test_senseless_values_are_refused() -> None:
    with pytest.raises(UserError, match=r"--collar"):
        side({"collar": -1.0}, ["baseline"])


def test_the_page_tells_every_field(pytestconfig: pytest.Config) -> None:
    """Other revisions rest on these names."""
    page = (pytestconfig.rootpath / "docs/gate-protocol.md").read_text()
    listed = [
        line.split("`")[1] for line in page.partition("bench.run.side.side(")[2].splitlines() if line[:3] == "| `"
    ]
    assert listed == list(Side.__dataclass_fields__)
