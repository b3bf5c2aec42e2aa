"""Every command: what is the user's to mend is one line and exit code 1 (argparse: 2), before any model runs."""

import importlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from variants import UserError
from variants.commands import STOPPED, command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands run: an empty folder, and a file that is nothing they read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("junk")
    return tmp_path


@pytest.fixture(autouse=True)
def unscored(monkeypatch: pytest.MonkeyPatch) -> None:
    """No case comes as far as a model that runs."""
    monkeypatch.setattr("bench.run.corpus.Corpus.segmented", lambda *_: pytest.fail("a model runs"))


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("module", "line", "message"),
    [
        ("bench.studies", "ablation --corpus nowhere", "nowhere: no such folder"),
        ("bench.studies", "ablation --budget nan", "--budget nan"),
        ("bench.studies", "ablation --threads 0", "--threads 0"),
        ("bench.studies", "distillation --data empty", "empty: no audio"),
        ("bench.studies", "distillation --students missing", "--students missing: no such file"),
        ("bench.studies", "distillation --students file --report nowhere", "nowhere: no such folder"),
        ("bench.studies", "distillation --students file --accuracy off", "--accuracy off leaves nothing to compare"),
        ("bench.studies", "distillation --data file --out file", "--out file/x: cannot be written there"),
        ("bench.studies", "pruning --data empty", "empty: no audio"),
        ("bench.studies", "pruning --report nowhere", "nowhere: no such folder"),
        ("bench.studies", "sensitivity --embedding nowhere", "--embedding nowhere: no such file"),
        ("bench.studies", "sensitivity --variant segmentation-onnx", "unknown variant 'segmentation-onnx'"),
        ("bench.studies", "peers --corpus nowhere", "nowhere: no such folder"),
        ("bench.studies", "wavlm --corpus nowhere", "nowhere: no such folder"),
        ("bench.gate", "selfcheck --json empty", "--json empty: this is a folder"),
        ("bench.gate", "selfcheck --from nowhere", "nowhere: not what `selfcheck --json` writes"),
        ("bench.gate", "selfcheck --variant segmentation-onnx", "unknown variant 'segmentation-onnx'"),
        ("bench", "score --corpus file", "file: is no folder"),
        ("bench", "report empty", "empty: Is a directory"),
        ("bench.corpus", "describe nowhere", "nowhere: no such folder"),
        ("variants", "export onnx-tuned --out empty", "--out empty: this is a folder"),
        ("variants.training", "export nowhere --out x", "nowhere: not a checkpoint"),
        ("variants.training", "export file --out empty", "--out empty: this is a folder"),
        ("variants.training", "embedding --data empty --out file", "--out file/last.ckpt: cannot be written there"),
        ("variants.training", "evaluate embedding --speech empty --weights file", "file: not a checkpoint"),
    ],
)
def test_one_line(capsys: pytest.CaptureFixture[str], module: str, line: str, message: str) -> None:
    assert importlib.import_module(f"{module}.__main__").main(line.split()) == 1
    said = capsys.readouterr()
    assert message in said.err and len(said.err.splitlines()) == 1 and said.out == ""


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("bench.studies", "distillation --data empty --batch-seconds 0"),
        ("bench.studies", "distillation --data empty --steps 0"),
        ("bench.studies", "pruning --share 1"),
        ("bench.gate", "selfcheck --seconds nan"),
        ("bench.gate", "selfcheck --live -1"),
        ("bench.accuracy", "coverage --runs 0"),
        ("bench", "tune --trials 0"),
        ("variants", "export onnx-tuned --out x --der nan"),
        ("variants.training", "embedding --out x --threads -1"),
    ],
)
def test_numbers_that_make_no_sense(capsys: pytest.CaptureFixture[str], module: str, line: str) -> None:
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"{module}.__main__").main(line.split())
    assert ended.value.code == 2
    assert line.split()[-2] in capsys.readouterr().err.splitlines()[-1]


def raising(error: BaseException) -> Callable[[], None]:
    def run() -> None:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("a: b"), 1, "x: a: b\n"),
        (OSError(28, "No space left on device", "out.json"), 1, "x: out.json: No space left on device\n"),
        (OSError("cannot read"), 1, "x: cannot read\n"),
        (KeyboardInterrupt(), STOPPED, ""),
    ],
)
def test_exit_codes(capsys: pytest.CaptureFixture[str], error: BaseException, code: int, said: str) -> None:
    assert command("x", raising(error)) == code
    assert capsys.readouterr().err == said
    with pytest.raises(ZeroDivisionError):  # our own mistake
        command("x", raising(ZeroDivisionError()))


def test_a_reader_that_has_enough_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        assert command("x", lambda: print("a" * 100_000)) == 1
    assert capfd.readouterr().err == ""
