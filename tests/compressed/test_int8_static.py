"""What becomes int8 and what does not; calibration that is refused, repeatable and told of in the file."""

import copy
import dataclasses
import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile
import torch
from pyannote.audio.core.task import Problem

import variants
from bench.corpus import Recording
from variants import UserError, exporting
from variants.__main__ import main
from variants.compressed import int8_static
from variants.compressed.calibration import DEV, FLOOR, calibrated_on, calibration
from variants.compressed.int8_static import quantisable, quantise, sensitive


@pytest.fixture(scope="module")
def built(stock: Any) -> Any:
    return variants.build("int8-static", stock)


@pytest.fixture(scope="module")
def graph(built: Any) -> Any:
    return onnx.load(str(built.model.path)).graph


def in_int8(graph: Any) -> Counter[str]:
    """Layers whose weights are dequantised, by type."""
    made = {node.output[0]: node.op_type for node in graph.node}
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    return Counter(node.op_type for node in layers if made.get(node.input[1]) == "DequantizeLinear")


def test_all_but_the_sinc_filters_are_quantised(graph: Any) -> None:
    """Two convolutions of SincNet, five of the TDNN, the linear layer; of eight convolutions one stays in float."""
    assert in_int8(graph) == {"Conv": 7, "Gemm": 1}
    assert sum(node.op_type == "Conv" for node in graph.node) == 8
    weights = {tensor.name: tensor for tensor in graph.initializer}
    (plain,) = [node for node in graph.node if node.op_type == "Conv" and node.input[1] in weights]
    assert list(weights[plain.input[1]].dims) == [80, 1, 1, 251]
    stored = [t for t in graph.initializer if t.data_type == onnx.TensorProto.INT8 and len(t.dims) > 1]
    assert len(stored) == 8


def test_segmentation_has_int8_lstms_and_says_nearly_the_same(segmenter: Any, clip: Recording) -> None:
    model = variants.build("segmentation-cached-int8", segmenter)
    _, graph = model
    found = onnx.load_from_string(bytes(graph.file.numpy())).graph
    kinds = Counter(node.op_type for node in found.node)
    assert kinds["DynamicQuantizeLSTM"] == 1 and kinds["LSTM"] == 0  # the tests' small PyanNet has one layer
    assert not in_int8(found), "neither convolutions nor linear layers"
    waveform = torch.from_numpy(clip.waveform()[None, :, 40_000:120_000])
    with torch.no_grad():
        one, other = model(waveform), segmenter(waveform)
    assert 0.2 < (other > 0.5).float().mean() < 0.8
    assert not torch.equal(one, other) and ((one > 0.5) == (other > 0.5)).float().mean() > 0.98


@pytest.mark.slow
@pytest.mark.parametrize(("name", "convolutions"), [("best", 7), ("best-near", 5)])
def test_best_has_all_behind_the_cached_filters_in_int8(
    name: str, convolutions: int, stock: Any, clip: Recording
) -> None:
    model, exact = (variants.build(one, stock) for one in (name, "best-exact"))
    graph, _ = model.tdnns
    assert in_int8(onnx.load_from_string(bytes(graph.file.numpy())).graph) == {"Conv": convolutions}
    assert variants.get(name).segmentation == "segmentation-cached-int8"
    assert not torch.equal(model.stats_pool.scale, exact.stats_pool.scale), "equalised"
    weights = torch.rand(3, 293, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for first in (0, 4000, 80_000):  # a step of the pipeline, and a jump
            waveform = torch.from_numpy(clip.waveform()[None, :, first : first + 80_000]).repeat(3, 1, 1)
            one, other = model(waveform, weights), exact(waveform, weights)
            assert not torch.equal(one, other) and torch.equal(one, model(waveform, weights))
            assert torch.cosine_similarity(one, other).min() > 0.98


def test_it_says_nearly_the_same(built: Any, stock: Any, clip: Recording) -> None:
    exact = variants.build("onnx-tuned", stock)
    waveform = torch.from_numpy(clip.waveform()[None, :, 40_000:120_000]).repeat(3, 1, 1)
    weights = torch.rand(3, 293, generator=torch.Generator().manual_seed(0))
    one, other = built(waveform, weights), exact(waveform, weights)
    assert not torch.equal(one, other)
    assert torch.cosine_similarity(one, other).min() > 0.98


def test_results_are_the_same_from_build_to_build(built: Any, stock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = int8_static._made
    monkeypatch.setattr(int8_static, "_made", {})
    again = variants.build("int8-static", stock)
    assert int8_static._made.values() and set(int8_static._made) <= set(made)
    monkeypatch.setattr(int8_static, "_quantise", None)  # what was made is not made again
    assert variants.build("int8-static", stock).model.path.read_bytes() == again.model.path.read_bytes()
    assert again.model.path.read_bytes() == built.model.path.read_bytes()


def test_exported_file_tells_of_its_calibration_and_runs_in_stock_diart(
    built: Any, stock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diart.models import EmbeddingModel

    monkeypatch.setattr(exporting, "build", lambda *_: built)
    notes = exporting.export_variant("int8-static", stock, tmp_path / "out.onnx", 0.1)
    saved = {p.key: p.value for p in onnx.load(str(tmp_path / "out.onnx")).metadata_props}
    assert saved == notes and saved["variant"] == "int8-static"
    digest = hashlib.sha256()
    for path in sorted(DEV.glob("*.flac")):
        digest.update(path.read_bytes() + path.with_suffix(".rttm").read_bytes())
    assert saved["calibration_sha256"] == digest.hexdigest()
    assert saved["calibration_chunks"] == f"{len(calibration().weights)} of 5 s"
    assert saved["calibration_speech"] == "embedded dev"
    assert saved["calibration_method"] == "percentile 99.999"
    assert saved["calibration_weight_bits"] in ("7", "8")
    loaded = EmbeddingModel.from_onnx(tmp_path / "out.onnx")
    waveform, weights = torch.rand(2, 1, 80_000), torch.rand(2, 293)
    torch.testing.assert_close(loaded(waveform, weights), built(waveform, weights), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("name", "agree"), [("segmentation-onnx", 1.0), ("segmentation-int8", 0.98)])
def test_exported_segmentation_runs_in_stock_diart(
    name: str, agree: float, segmenter: Any, clip: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diart.models import SegmentationModel

    monkeypatch.setattr("variants.__main__.load", lambda kind, *_: {"segmentation": segmenter}[kind])
    out = tmp_path / "out.onnx"
    assert main(["export", name, "--out", str(out)]) == 0
    file = onnx.load(str(out))
    notes = {p.key: p.value for p in file.metadata_props}
    assert notes["variant"] == name and notes["source_sha256"] == "b" * 64
    assert ("calibration_weight_bits" in notes) == (name == "segmentation-int8")
    assert "calibration_sha256" not in notes, "LSTMs find their ranges anew in each chunk"
    if name == "segmentation-int8":
        assert not in_int8(file.graph)
        assert Counter(node.op_type for node in file.graph.node)["DynamicQuantizeLSTM"] == 1
    waveforms = torch.from_numpy(np.stack([clip.waveform()[:, first : first + 80_000] for first in (0, 40_000)]))
    with torch.no_grad():
        one, other = SegmentationModel.from_onnx(out)(waveforms), segmenter(waveforms)
    assert one.shape == other.shape and ((one > 0.5) == (other > 0.5)).float().mean() >= agree


def test_a_powerset_is_not_exported(segmenter: Any, tmp_path: Path) -> None:
    model = copy.deepcopy(segmenter)
    changes = {"powerset_max_classes": 2, "problem": Problem.MONO_LABEL_CLASSIFICATION}
    model.specifications = dataclasses.replace(segmenter.specifications, **changes)
    with pytest.raises(UserError, match=r"'segmentation-onnx' has no ONNX form .*powerset, which DIART decodes"):
        exporting.export_variant("segmentation-onnx", model, tmp_path / "out.onnx")


def conversation(folder: Path, rttm: str, seconds: float = 11) -> Path:
    samples = np.random.default_rng(0).normal(0, 0.1, round(16_000 * seconds))
    soundfile.write(folder / "talk.wav", samples, 16_000)
    (folder / "talk.rttm").write_text(rttm)
    return folder


def test_weights_are_who_speaks(tmp_path: Path) -> None:
    turns = "SPEAKER talk 1 1.0 1.0 <NA> <NA> a <NA> <NA>\nSPEAKER talk 1 6.0 2.5 <NA> <NA> b <NA> <NA>\n"
    found = calibration(conversation(tmp_path, turns))
    assert found.waveforms.shape == (2, 1, 80_000) and found.weights.shape == (2, 3, 293)  # the third is incomplete
    first, second = found.weights
    assert set(np.unique(first)) == {np.float32(FLOOR), 1} and (first == first[0]).all()  # one speaks: in all rows
    assert first[0].sum() == pytest.approx(293 / 5, abs=1) and second[0].sum() == pytest.approx(293 / 2, abs=1)
    assert first[0].argmax() == pytest.approx(293 / 5, abs=1)  # from second 1 on


@pytest.mark.parametrize("rttm", ["", "SPEAKER talk 1 10.5 0.2 <NA> <NA> a <NA> <NA>\n"])
def test_a_set_without_speech_is_refused(tmp_path: Path, rttm: str) -> None:
    with pytest.raises(UserError, match=r"calibration: no speech in .*give some with RTTM$"):
        calibration(conversation(tmp_path, rttm))


def test_another_folder_calibrates_what_is_built_within_and_nothing_after(
    stock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = "SPEAKER talk 1 0.0 5.0 <NA> <NA> a <NA> <NA>\n"
    folder = conversation(tmp_path, turns, 5)
    with calibrated_on(folder):
        assert calibration() is calibration(folder) and len(calibration().weights) == 1
        other = variants.build("int8-static", stock)
    notes = {p.key: p.value for p in onnx.load(str(other.model.path)).metadata_props}
    digest = hashlib.sha256((folder / "talk.wav").read_bytes() + turns.encode()).hexdigest()
    assert notes["calibration_sha256"] == digest and notes["calibration_speech"] == tmp_path.name
    assert notes["calibration_chunks"] == "1 of 5 s"
    assert calibration() is calibration(DEV) and calibration().speech == "embedded dev"
    with pytest.raises(UserError, match="no such folder"), calibrated_on(tmp_path / "missing"):
        calibration()
    assert calibration().speech == "embedded dev"


def test_of_much_speech_some_is_taken_spread_over_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("variants.compressed.calibration.MOST", 2)
    found = calibration(conversation(tmp_path, "SPEAKER talk 1 0.0 25.0 <NA> <NA> a <NA> <NA>\n", 25))
    samples, _ = soundfile.read(tmp_path / "talk.wav", dtype="float32")
    assert len(found.waveforms) == 2
    assert (found.waveforms[:, 0] == np.stack([samples[:80_000], samples[160_000:240_000]])).all()


def test_an_empty_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"calibration: .*no audio file with an \.rttm"):
        calibration(tmp_path)
    with pytest.raises(UserError, match=r"calibration: .*no such folder"):
        calibration(tmp_path / "missing")


def test_without_int8_instructions_weights_keep_a_bit_free(
    stock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two products of 255 and 127 would not fit into 16 bits."""
    model = torch.nn.Conv1d(4, 3, 5).eval()
    path = tmp_path / "one.onnx"
    torch.onnx.export(model, (torch.rand(1, 4, 20),), str(path), input_names=["x"], dynamo=False)
    feeds = [{"x": torch.rand(1, 4, 20).numpy()}]
    largest = []
    for able, bits in ((True, "8"), (False, "7")):
        monkeypatch.setattr("variants.compressed.int8_static.multiplies_int8", lambda able=able: able)
        made = onnx.load(str(quantise(path, feeds, {}, quantisable(path))))
        assert {p.key: p.value for p in made.metadata_props}["calibration_weight_bits"] == bits
        tensors = made.graph.initializer
        largest.append(max(abs(onnx.numpy_helper.to_array(t).astype(int)).max() for t in tensors if t.data_type == 3))
    assert largest[0] > 120 and largest[1] <= 64


class Recurrent(torch.nn.Module):
    """A convolution of the waveform and another, an LSTM or none, a linear layer."""

    def __init__(self, lstm: bool) -> None:
        super().__init__()
        self.front = torch.nn.Sequential(torch.nn.Conv1d(1, 3, 5), torch.nn.ReLU(), torch.nn.Conv1d(3, 4, 3))
        self.lstm = torch.nn.LSTM(4, 4, batch_first=True) if lstm else None
        self.linear = torch.nn.Linear(4, 2)

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        features = self.front(waveform).transpose(1, 2)
        found: torch.Tensor = self.linear(self.lstm(features)[0] if self.lstm is not None else features)
        return found


@pytest.mark.parametrize(("lstm", "left"), [(True, ["LSTM"]), (False, ["Conv", "MatMul"])])
def test_layers_on_the_waveform_and_beside_lstms_are_sensitive(tmp_path: Path, lstm: bool, left: list[str]) -> None:
    path = tmp_path / "net.onnx"
    torch.onnx.export(Recurrent(lstm).eval(), (torch.rand(1, 1, 40),), str(path), dynamo=False)
    rest = [name for name in quantisable(path) if name not in sensitive(path)]
    assert sorted(name.rpartition("/")[2] for name in rest) == left
    assert len(quantisable(path)) == 3 + lstm


def test_bfloat16_is_left_to_cpus_that_have_it(stock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("variants.compressed.bf16.cpu_flags", lambda: ["avx2"])
    with pytest.raises(variants.UnavailableError, match="bf16 needs a CPU with amx_bf16 or avx512_bf16"):
        variants.build("bf16", stock)
    monkeypatch.setattr("variants.compressed.bf16.cpu_flags", lambda: ["avx512_bf16"])  # torch emulates it elsewhere
    rounded, whole = variants.build("bf16", stock), variants.build("shared-folded", stock)
    assert all(p.dtype == torch.bfloat16 for p in rounded.tdnns.parameters())
    waveform, weights = torch.rand(1, 1, 80_000).repeat(2, 1, 1), torch.rand(2, 293)
    with torch.no_grad():
        one, other = rounded(waveform, weights), whole(waveform, weights)
    assert one.dtype == torch.float32 and not torch.equal(one, other)
    assert torch.cosine_similarity(one, other).min() > 0.999
