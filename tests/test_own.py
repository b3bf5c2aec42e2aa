"""Anyone's own models: what a function returns, and ONNX files, as variants."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import variants
from bench.__main__ import main
from bench.accuracy.der import lower, lowest_cosine
from bench.corpus import Recording
from bench.run.options import chosen
from variants import UserError, registry
from variants.own import from_factory, from_onnx
from variants.runtime.onnx import write_onnx

MODULE = """
import torch
from torch import nn

class Mean(nn.Module):
    def forward(self, waveforms, weights):
        return waveforms.mean(2) * torch.arange(1.0, 4)

def mean():
    return Mean()

def three():
    return 3

NUMBER = 3
"""


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my_models.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


class Scaled(nn.Module):
    """Weights come first, under names of their own; two dimensions."""

    def forward(self, masks: Tensor, audio: Tensor) -> Tensor:
        return torch.stack([audio.mean(dim=(1, 2)), (masks * audio[:, 0, : masks.shape[1]]).sum(1)], dim=1)


def graph(path: Path, one_input: bool = False) -> Path:
    inputs = {"masks": torch.rand(2, 5), "audio": torch.randn(2, 1, 40)}
    axes = {"masks": {0: "rows"}, "audio": {0: "rows"}, "vector": {0: "rows"}}
    if one_input:
        return write_onnx(nn.Flatten(), path, {"audio": inputs["audio"]}, "vector", {"audio": {0: "rows"}})
    return write_onnx(Scaled(), path, inputs, "vector", axes)


def test_what_a_function_returns_is_the_model(folder: Path, stock: nn.Module) -> None:
    entry = from_factory("my_models:mean")
    assert (entry.name, entry.parent, entry.tolerance) == ("my_models:mean", None, 0.5)
    assert from_factory("my_models:mean") is entry, "asked for again, as pytest does"
    model = variants.build("my_models:mean", stock)
    assert model(torch.full((2, 1, 9), 2.0), torch.ones(2, 4)).tolist() == [[2.0, 4.0, 6.0]] * 2
    found = variants.provenance_of(model)
    assert found is not None and found.source == "my_models:mean", "not the baseline's weights"
    assert inspect.getfile(inspect.unwrap(entry.build)) == str(folder / "my_models.py"), "whose code scores rest on"


@pytest.mark.parametrize(
    ("spec", "pattern"),
    [
        ("my_models", "name it as module:function$"),
        (":mean", "name it as module:function$"),
        ("no_such_module_here:mean", "ModuleNotFoundError: No module named 'no_such_module_here'$"),
        ("my_models:median", "AttributeError: .*no attribute 'median'$"),
        ("my_models:NUMBER", "NUMBER is a int, not a function$"),
    ],
)
def test_functions_that_are_not_there(folder: Path, spec: str, pattern: str) -> None:
    with pytest.raises(UserError, match=f"^--embedding-factory {spec}: .*{pattern}"):
        from_factory(spec)


def test_a_function_that_returns_no_model(folder: Path, stock: nn.Module) -> None:
    from_factory("my_models:three")
    with pytest.raises(UserError, match="my_models:three returned a int"):
        variants.build("my_models:three", stock)


def test_a_graph_is_fed_by_ranks_whatever_its_names(tmp_path: Path, stock: nn.Module) -> None:
    entry = from_onnx(str(graph(tmp_path / "my, model.onnx")))
    assert entry.name == "my--model.onnx" and entry.pinned
    audio, masks = torch.randn(3, 1, 40), torch.rand(3, 5)
    found = variants.build(entry.name, stock)(audio, masks)
    assert torch.allclose(found, Scaled()(masks, audio), atol=1e-6)


def test_graphs_that_are_none(tmp_path: Path, stock: nn.Module) -> None:
    with pytest.raises(UserError, match=r"^--onnx .*/missing\.onnx: no such file$"):
        from_onnx(str(tmp_path / "missing.onnx"))
    entry = from_onnx(str(graph(tmp_path / "one.onnx", one_input=True)))
    with pytest.raises(UserError, match=r"its inputs are audio \('rows', 1, 40\); an embedding model takes"):
        variants.build(entry.name, stock)
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match=r"variant 'one\.onnx' is registered twice"):
        from_onnx(str(graph(tmp_path / "other/one.onnx")))


@pytest.mark.parametrize(
    ("named", "expected"),
    [(None, ["my_models:mean", "one.onnx"]), ("distilled", ["distilled", "my_models:mean", "one.onnx"])],
)
def test_they_stand_beside_what_is_named_or_alone(folder: Path, named: str | None, expected: list[str]) -> None:
    values = {"variants": named, "embedding_factory": "my_models:mean", "onnx": str(graph(folder / "one.onnx"))}
    assert [variant.name for variant in chosen(values.__getitem__, "baseline")] == expected


def test_embeddings_of_other_dimensions_have_no_cosine() -> None:
    assert lowest_cosine(np.ones((2, 3), np.float32), np.ones((2, 4), np.float32)) is None
    assert (lower(0.5, 0.2), lower(0.5, None)) == (0.2, None)


def test_they_are_scored_beside_the_baseline(folder: Path, clip: Recording, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["score", "--corpus", str(clip.path.parent), "--segmentation", "oracle", "--accuracy-budget", "0"]
    assert main([*asked, "--embedding-factory", "my_models:mean"]) == 0
    (row,) = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith(" my_models:mean ")][:1]
    assert row[-2] == "-" and float(row[1]) > 0, "three dimensions have no cosine to the baseline's, but a DER"
