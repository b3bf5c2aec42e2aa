"""The one graph: its rows, frame counts and sessions; the file that it is exported as, and the commands."""

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
import torch.nn.functional as F
from diart.models import EmbeddingModel
from torch import nn

import variants
from variants import Provenance
from variants.__main__ import main
from variants.exact.lowered import lowered
from variants.exact.row_graph import nearest, runs
from variants.exporting import stored_der
from variants.runtime.onnx import session

SAMPLES = 32_000  # 2 s: enough frames, and fast


@pytest.fixture(scope="module")
def tuned(stock: Any) -> Any:
    return variants.build("onnx-tuned", stock)


def inputs(rows: list[int], frames: int, samples: int = SAMPLES) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(frames)
    waveforms = 0.1 * torch.randn(1 + max(rows), 1, samples, generator=generator)
    return waveforms[rows], torch.rand(len(rows), frames, generator=generator) ** 6


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert torch.equal(found.isnan(), expected.isnan())
    rows = ~expected.isnan().any(dim=1)
    assert rows.any()
    assert F.cosine_similarity(found[rows].double(), expected[rows].double()).min() >= 0.99999
    torch.testing.assert_close(found[rows].norm(dim=1), expected[rows].norm(dim=1), rtol=1e-4, atol=0)


@pytest.mark.parametrize("frames", [1, 101, 249, 279, 293, 589])
@pytest.mark.parametrize("rows", [[0], [0, 0, 0], [0, 0, 0, 1, 1, 1], [0, 1, 1, 2, 0]], ids=str)
def test_embeddings_equal_stocks(rows: list[int], frames: int, tuned: Any, stock: Any) -> None:
    waveforms, weights = inputs(rows, frames)
    with torch.no_grad():
        assert_same(tuned(waveforms, weights), stock(waveforms, weights))


def test_five_seconds_in_the_default_session(tuned: Any, stock: Any) -> None:
    theirs = EmbeddingModel.from_onnx(tuned.model.path)
    waveforms, weights = inputs([0, 0, 0, 1], 293, 80_000)
    with torch.no_grad():
        expected = stock(waveforms, weights)
    assert_same(theirs(waveforms, weights), expected)
    assert_same(tuned(waveforms, weights), expected)


@pytest.mark.parametrize("kind", ["floor", "none", "one frame", "one frame over the floor", "constant"])
def test_pooling_at_the_edges(kind: str, tuned: Any, stock: Any) -> None:
    waveforms, weights = inputs([0, 0, 1], 101)  # as many frames as the trunk gives
    if kind == "constant":
        waveforms = torch.zeros_like(waveforms)
    else:
        weights[1:] = 0.0 if kind in ("none", "one frame") else 1e-8
        if kind.startswith("one frame"):
            weights[1:, 40] = 1.0
    with torch.no_grad():
        found, expected = tuned(waveforms, weights), stock(waveforms, weights)
    assert not (found.isnan() & ~expected.isnan()).any()
    if kind == "one frame over the floor":  # stock's own denominator is float32's rounding error there
        assert F.cosine_similarity(found, expected).min() > 0.99
    else:
        assert_same(found, expected)


def test_nan_stays_in_its_rows(tuned: Any, stock: Any) -> None:
    waveforms, weights = inputs([0, 0, 1, 1, 2], 101)
    waveforms[2:4, 0, 7] = torch.nan
    with torch.no_grad():
        found = tuned(waveforms, weights)
        assert_same(found, stock(waveforms, weights))
    assert found.isnan().any(dim=1).tolist() == [False, False, True, True, False]


def test_runs_of_equal_rows() -> None:
    a, b, lost = torch.zeros(1, 4), torch.ones(1, 4), torch.full((1, 4), torch.nan)
    firsts, owner = runs(torch.stack([a, a, b, b, b, a, lost, lost]))
    assert (firsts.tolist(), owner.tolist()) == ([0, 2, 5, 6, 7], [0, 0, 1, 1, 1, 2, 3, 4])
    firsts, owner = runs(torch.stack([a]))
    assert (firsts.tolist(), owner.tolist()) == ([0], [0])


def test_nearest_is_torchs_bit_for_bit() -> None:
    for given in range(1, 600, 7):
        weights = torch.rand(2, given)
        for frames in (1, 57, 101, 279, 589):
            expected = F.interpolate(weights[None], frames, mode="nearest")[0]
            assert torch.equal(nearest(weights, frames), expected), (given, frames)


def test_the_graph_runs_the_trunk_once_for_equal_rows(tuned: Any, tmp_path: Path) -> None:
    """The last convolution's output, fetched from the graph, has as many rows as there are distinct chunks."""
    graph = onnx.load(str(tuned.model.path))
    last = [node for node in graph.graph.node if node.op_type == "Conv"][-1].output[0]
    graph.graph.output.append(onnx.helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, None))
    onnx.save(graph, str(tmp_path / "seen.onnx"))
    seen = session(tmp_path / "seen.onnx")
    for rows, trunks in (([0, 0, 0], 1), ([0, 0, 1, 1], 2), ([0, 1, 0], 3)):
        waveforms, weights = inputs(rows, 101)
        (found,) = seen.run([last], {"waveform": waveforms.numpy(), "weights": weights.numpy()})
        assert found.shape == (trunks, 1500, 1, 101)


def test_the_graph_is_folded_and_lowered(tuned: Any) -> None:
    graph = onnx.load(str(tuned.model.path)).graph
    kinds = [node.op_type for node in graph.node]
    assert "BatchNormalization" not in kinds and "If" not in kinds and "Loop" not in kinds
    assert kinds.count("Conv") == 3 + 5
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    assert all(len(shapes[node.input[1]]) == 4 for node in graph.node if node.op_type == "Conv")


def test_the_session_is_pinned_and_still(tuned: Any) -> None:
    options = tuned.model.session.get_session_options()
    assert options.intra_op_num_threads == torch.get_num_threads()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize(
    "layer", [nn.Conv1d(4, 3, 5, stride=2, dilation=3), nn.Conv1d(4, 3, 3, padding=1, bias=False), nn.MaxPool1d(3, 2),
              nn.InstanceNorm1d(4, affine=True), nn.BatchNorm1d(4), nn.LeakyReLU()],
    ids=lambda layer: type(layer).__name__,
)  # fmt: skip
def test_lowered_layers_do_the_same(layer: nn.Module) -> None:
    for name, value in layer.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.1 if "var" in name else torch.randn_like(value))
    values = torch.randn(2, 4, 40)
    with torch.no_grad():
        torch.testing.assert_close(lowered(layer)(values[:, :, None])[:, :, 0], layer.eval()(values))


def test_what_cannot_be_lowered() -> None:
    for layer in (nn.Conv1d(4, 4, 3, padding="same"), nn.Conv1d(4, 4, 3, groups=2)):
        with pytest.raises(variants.UnavailableError, match="ungrouped convolution, padded by zeros"):
            lowered(layer)


def test_export_writes_what_it_knows(tmp_path: Path, capsys: Any, stock: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("variants.__main__.load", lambda *_: stock)
    runs_folder, out = tmp_path / "runs", tmp_path / "model.onnx"
    runs_folder.mkdir()
    (runs_folder / "1.json").write_text("no json")
    info = {"variant": "shared-folded", "weights": {"sha256": "a" * 64}, "der_increase": 0.25}
    (runs_folder / "2.json").write_text(json.dumps({"benchmarks": [{"extra_info": info}]}))
    assert main(["export", "shared-folded", "--out", str(out), "--benchmarks", str(runs_folder)]) == 0
    assert list(tmp_path.iterdir()) == [out, runs_folder] or list(tmp_path.iterdir()) == [runs_folder, out]
    notes = {prop.key: prop.value for prop in onnx.load(str(out)).metadata_props}
    assert notes == {
        "variant": "shared-folded", "parent": "shared-trunk", "source": "test", "source_sha256": "a" * 64,
        "trained": "true", "exact": "true", "tolerance_der_points": "0.05", "der_increase_points": "+0.250",
    }  # fmt: skip
    assert "der_increase_points +0.250" in capsys.readouterr().out
    waveforms, weights = inputs([0, 0, 0, 1], 249)
    with torch.no_grad():
        assert_same(EmbeddingModel.from_onnx(out)(waveforms, weights), stock(waveforms, weights))


def test_stored_der_is_that_of_the_same_weights_and_the_newest(tmp_path: Path) -> None:
    import os

    def store(file: str, time: int, **info: Any) -> Path:
        path = tmp_path / file
        path.write_text(json.dumps({"benchmarks": [{"extra_info": {"variant": "v", **info}}]}))
        os.utime(path, (time, time))
        return path

    files = [
        store("old.json", 1, weights={"sha256": "a"}, der_increase=0.5),
        store("newer.json", 2, weights={"sha256": "a"}, der_increase=-0.125),
        store("other.json", 3, weights={"sha256": "b"}, der_increase=9),
        store("none.json", 4, weights=None, der_increase=9),
        store("unmeasured.json", 5, weights={"sha256": "a"}, der_increase=None),
    ]
    assert stored_der("v", Provenance("test", "a", True), files) == -0.125
    assert stored_der("w", Provenance("test", "a", True), files) is None
    assert stored_der("v", None, files) is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("torch-compile", "the nearest that can is 'onnx-tuned'"),
        ("distilled-int8", "the nearest that can is 'distilled'"),
        ("segmentation", "the nearest that can is 'segmentation-onnx'"),
        ("segmentation-cached", "the nearest that can is 'segmentation-onnx'"),
        ("segmentation-cached-int8", "the nearest that can is 'segmentation-int8'"),
        ("chill", "unknown variant 'chill'"),
    ],
)
def test_what_is_not_exported(name: str, says: str, tmp_path: Path, capsys: Any, stock: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("variants.__main__.load", lambda *_: stock)
    assert main(["export", name, "--out", str(tmp_path / "model.onnx")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("out", "says"), [(".", "name the file to write"), ("file/m.onnx", "cannot be written there (File exists)")]
)
def test_a_place_that_cannot_be_written_is_refused_before_loading(
    out: str, says: str, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("variants.__main__.load", lambda *_: pytest.fail("loaded"))
    (tmp_path / "file").write_text("")
    assert main(["export", "baseline", "--out", str(tmp_path / out)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"variants: --out {tmp_path / out}: ") and says in line


def test_list_names_all_and_what_is_missing(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(variants.registry, "_registry", dict(variants.registry._registry))
    variants.variant("needy", exact=True, needs=["no_such_package"])(lambda model: model)

    def no_compiler() -> None:
        raise variants.UnavailableError("needs a compiler")

    variants.variant("uncompiled", exact=True, probe=no_compiler)(lambda model: model)
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {name: next(line for line in lines if f"│ {name} " in line) for name in variants.names()}
    assert "no: variant 'needy' needs no_such_package" in rows["needy"]
    assert "no: needs a compiler" in rows["uncompiled"]
    assert "yes" in rows["onnx-tuned"]
    for name in variants.names("segmentation"):
        assert any(f"│ {name} " in line and "by --segmentation-variant" in line for line in lines)
    with pytest.raises(variants.UnavailableError, match="needs a compiler"):
        variants.build("uncompiled", nn.Identity())


def test_openvino_gives_stocks_embeddings(stock: Any) -> None:
    pytest.importorskip("openvino")
    model = variants.build("openvino", stock)
    waveforms, weights = inputs([0, 0, 0, 1], 249)
    with torch.no_grad():
        assert_same(model(waveforms, weights), stock(waveforms, weights))


@pytest.mark.slow
def test_torch_compile_gives_stocks_embeddings_and_says_how_long_it_took(stock: Any) -> None:
    try:
        model = variants.build("torch-compile", stock)
    except variants.UnavailableError as error:
        pytest.skip(str(error))
    assert 0 < model.compile_seconds < 3600
    waveforms, weights = inputs([0, 0, 0, 1], 249)
    with torch.no_grad():
        assert_same(model(waveforms, weights), stock(waveforms, weights))
