"""Checkpoints that the tests write in pyannote's own format, with whatever else a file may hold."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pyannote.audio.core.task import Problem, Resolution, Specifications

from variants import UserError
from variants.loading import load

Content = dict[str, Any]
VOICES = Specifications(Problem.REPRESENTATION, Resolution.CHUNK, duration=5.0, classes=["ann", "ben"])


@pytest.fixture(scope="session")
def content() -> Callable[[Any], Content]:
    """What `pytorch_lightning` and pyannote.audio write into a checkpoint of a model."""

    def make(model: Any) -> Content:
        named = {"module": type(model).__module__, "class": type(model).__name__}
        return {
            "state_dict": model.state_dict(),
            "hyper_parameters": dict(model.hparams),
            "pytorch-lightning_version": "2.0.1",
            "epoch": 3,
            "pyannote.audio": {
                "versions": {"torch": "2.0.1", "pyannote.audio": "3.0.0"},
                "architecture": named,
                "specifications": getattr(model, "specifications", None) if named["class"] == "PyanNet" else VOICES,
            },
        }

    return make


@pytest.fixture
def checkpoint(stock: Any, content: Callable[[Any], Content], tmp_path: Path) -> Callable[..., Path]:
    """Writes a checkpoint of the stock embedding model, with changes to its content."""

    def write(change: Callable[[Content], Any] = lambda whole: None, **options: Any) -> Path:
        whole = content(stock)
        change(whole)
        torch.save(whole, tmp_path / "model.ckpt", **options)
        return tmp_path / "model.ckpt"

    return write


@pytest.fixture(scope="session")
def refusal() -> Callable[..., str]:
    """The message of the refusal, which must be one line that names the option."""

    def refuse(kind: str, source: Any, trust: bool = False) -> str:
        with pytest.raises(UserError) as raised:
            load(kind, str(source), trust)
        message = str(raised.value)
        assert len(message.splitlines()) == 1
        assert message.startswith(f"--{kind} {source}: ")
        assert raised.value.__suppress_context__ or raised.value.__context__ is None
        return message

    return refuse


@pytest.fixture(scope="session")
def same_weights() -> Callable[[Any, Any], None]:
    """Asserts that two models hold the very same numbers under the same names."""

    def compare(mine: Any, theirs: Any) -> None:
        assert mine.state_dict().keys() == theirs.state_dict().keys()
        assert all(torch.equal(value, theirs.state_dict()[key]) for key, value in mine.state_dict().items())

    return compare
