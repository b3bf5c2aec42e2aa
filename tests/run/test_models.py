"""Which models a run takes where none are named, with which thresholds, and what it says of them."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyannote.audio  # noqa: F401 - a session in this process forgets its imports, and torch allows no second
import pytest
import torch
from pyannote.audio.core.task import Problem, Resolution, Specifications
from pyannote.audio.models.segmentation import PyanNet
from torch import nn

import variants
from bench.pipeline.staged import PRESETS
from bench.run import conditions
from bench.run.models import Models
from bench.run.options import ModelOptions, Options
from variants import UserError
from variants.compressed.calibration import calibration

PAPERS = "pyannote/segmentation"
Make = Callable[..., Options]
Cache = Callable[[], None]


@pytest.mark.parametrize(
    ("fetched", "segmentation", "preset"), [(False, "bundled", "bundled"), (True, PAPERS, "bundled-pyannote")]
)
def test_the_default_segmentation(options: Make, cache: Cache, fetched: bool, segmentation: str, preset: str) -> None:
    if fetched:
        cache()
    made = options()
    assert (made.models.embedding, made.models.segmentation) == ("bundled", segmentation)
    assert (made.pipeline.tau, made.pipeline.rho, made.pipeline.delta) == PRESETS[preset]
    assert options("--segmentation", "bundled").models.segmentation == "bundled"


def test_models_are_built_by_the_calibration_that_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, folder = [], tmp_path / "talks"
    monkeypatch.setattr("variants.compressed.calibration._read", lambda folder: seen.append(folder) or folder)
    monkeypatch.setattr(variants, "build", lambda name, root: calibration())
    models = Models(ModelOptions("bundled", "bundled", None, False, folder), 5.0, ["best"])
    vars(models).update(root=None, _segmentation_root=None)
    monkeypatch.setattr(variants, "as_segmentation_model", lambda model: model)
    assert models.build("best") == models.build_segmentation("segmentation-onnx") == folder
    assert models.alone("best") == (folder, folder)
    assert set(seen) == {folder} and calibration() != folder


def test_a_calibration_that_cannot_be_read_is_told_before_anything_is_built(tmp_path: Path) -> None:
    models = Models(ModelOptions("bundled", "bundled", None, False, tmp_path / "missing"), 5.0, ["baseline"])
    with pytest.raises(UserError, match=r"calibration: .*missing: no such folder"):
        models.load()


def test_a_variant_is_in_int8_by_either_model(monkeypatch: pytest.MonkeyPatch) -> None:
    int8 = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(3, 2)), {nn.Linear})
    built = {"baseline": nn.Linear(3, 2), "int8-static": int8, "best": nn.Linear(3, 2)}
    models = Models(ModelOptions("bundled", "bundled", None, False), 5.0, [*built])
    monkeypatch.setattr(Models, "_built", (built, {"best": SimpleNamespace(model=int8)}))
    assert models.in_int8 == ["int8-static", "best"]


@pytest.mark.parametrize(
    ("embedding", "segmentation", "preset"),
    [
        ("bundled", "bundled", "bundled"),
        ("bundled", "oracle", "bundled"),
        ("bundled", PAPERS, "bundled-pyannote"),
        ("campplus", PAPERS, "campplus-pyannote"),
        ("pyannote/embedding", PAPERS, "dihard3"),
        ("pyannote/embedding", "bundled", "dihard3"),
        ("some.ckpt", PAPERS, "dihard3"),
    ],
)
def test_each_known_pair_has_its_thresholds(options: Make, embedding: str, segmentation: str, preset: str) -> None:
    named = ("--embedding", embedding, "--segmentation", segmentation)
    made = options(*named).pipeline
    assert (made.tau, made.rho, made.delta) == PRESETS[preset]
    other = options(*named, "--preset", "ami", "--rho", "0.25").pipeline
    assert (other.tau, other.rho, other.delta) == (0.507, 0.25, 1.057)


@pytest.mark.parametrize(
    ("fetched", "line"),
    [
        (True, f"diartbench: embedding bundled, segmentation {PAPERS}"),
        (False, f"diartbench: embedding bundled, segmentation bundled (`python -m variants fetch {PAPERS}`*"),
    ],
)
def test_the_first_lines_of_a_run_say_it(pytester: pytest.Pytester, cache: Cache, fetched: bool, line: str) -> None:
    if fetched:
        cache()
    pytester.makeconftest('pytest_plugins = ["bench.plugin"]\n')
    pytester.runpytest_inprocess("--collect-only").stdout.fnmatch_lines([line])


@pytest.mark.parametrize(("trained", "chunk", "said"), [(10.0, 5.0, True), (5.0, 5.0, False), (10.0, 10.0, False)])
def test_a_chunk_that_the_segmentation_was_not_trained_on_is_said(
    trained: float, chunk: float, said: bool, stock: Any
) -> None:
    net = PyanNet(lstm={"hidden_size": 4, "num_layers": 1})
    net.specifications = Specifications(
        Problem.MULTI_LABEL_CLASSIFICATION, Resolution.FRAME, trained, classes=["a"], permutation_invariant=True
    )
    models = Models(ModelOptions("bundled", "named", None, False), chunk, ["baseline"])
    vars(models).update(root=stock, _segmentation_root=net, segmentation_trained=True)

    class Corpus:
        problems: tuple[str, ...] = ()
        recordings: tuple[Any, ...] = ()

    lines = conditions.notes(models, Corpus())  # type: ignore[arg-type]
    expected = f"the segmentation was trained on chunks of {trained:g} s, not of {chunk:g} s (--chunk)"
    assert (expected in lines) == said
    assert models.trained_duration == trained
    models.options = ModelOptions("bundled", "oracle", None, False)
    assert models.trained_duration is None


def test_what_variants_reuse_is_said_of_each(stock: Any) -> None:
    names = ["baseline", "baseline-twin", "cached-sinc", "best-exact", "streaming-trunk"]
    models = Models(ModelOptions("bundled", "bundled", None, False), 5.0, names)
    vars(models).update(root=stock)

    class Corpus:
        problems: tuple[str, ...] = ()
        recordings: tuple[Any, ...] = ()

    first = "the first convolution"
    assert [line for line in conditions.notes(models, Corpus()) if "earlier chunks" in line] == [  # type: ignore[arg-type]
        "baseline, baseline-twin: reused of earlier chunks: nothing",
        f"cached-sinc: reused of earlier chunks: {first} (embedding)",
        f"best-exact: reused of earlier chunks: {first} (embedding), {first} (segmentation)",
        "streaming-trunk: reused of earlier chunks: "
        "all frames of the trunk but the new ones and as many old ones (embedding)",
    ]
