"""Every technique on CAM++: exact where it says so, else close; what does not apply is skipped with the reason."""

from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import variants
from variants.exporting import export_variant

EXACT = ["shared-trunk", "folded", "shared-folded", "onnx-tuned", "best-exact"]


def rows_of(speech: torch.Tensor, owners: list[int], frames: int, samples: int = 48_000) -> Any:
    generator = torch.Generator().manual_seed(frames)
    return speech[owners, :, :samples], torch.rand(len(owners), frames, generator=generator) ** 6


@pytest.fixture(scope="module")
def built(small: Any) -> dict[str, Any]:
    return {name: variants.as_embedding_model(variants.build(name, small)) for name in [*EXACT, "int8-static", "best"]}


@pytest.mark.filterwarnings("ignore:Mismatch between frames")
@pytest.mark.parametrize(("owners", "frames", "samples"), [([0, 0, 0], 293, 48_000), ([0, 0, 1, 0], 149, 48_000),
                                                           ([1, 1], 97, 33_333)])  # fmt: skip
def test_exact_ones(
    built: dict[str, Any], small: Any, speech: torch.Tensor, owners: list[int], frames: int, samples: int
) -> None:
    waveforms, weights = rows_of(speech, owners, frames, samples)
    with torch.no_grad():
        expected = small(waveforms, weights)
        for name in EXACT:
            found = built[name](waveforms, weights)
            assert F.cosine_similarity(found.double(), expected.double()).min() > 0.999999, name
            torch.testing.assert_close(found.norm(dim=1), expected.norm(dim=1), rtol=1e-4, atol=0)


@pytest.mark.filterwarnings("ignore:Mismatch between frames")
def test_int8_is_close(built: dict[str, Any], small: Any, speech: torch.Tensor) -> None:
    waveforms, weights = rows_of(speech, [0, 0, 1], 149)
    with torch.no_grad():
        expected = small(waveforms, weights)
        for name in ("int8-static", "best"):
            cosines = F.cosine_similarity(built[name](waveforms, weights), expected)
            assert 0.98 < cosines.min() < 0.99999, (name, cosines)


def test_int8_leaves_waveform_features_and_masks(built: dict[str, Any]) -> None:
    graph = onnx.load(str(built["int8-static"].model.path)).graph
    made = {output: node.op_type for node in graph.node for output in node.output}
    in_float = [n.name for n in graph.node if n.op_type == "Conv" and made.get(n.input[1]) != "DequantizeLinear"]
    masks = 2 * (2 + 2 + 1)
    assert len(in_float) == 2 + masks and sum("cam_layer" in name for name in in_float) == masks


def test_folding_leaves_only_norms_before_a_relu(built: dict[str, Any]) -> None:
    norms = [
        name for name, layer in built["shared-folded"].model.named_modules() if "BatchNorm" in type(layer).__name__
    ]
    dense, transits = 2 + 2 + 1, 3
    assert len(norms) == dense + transits and all("nonlinear1" in name or "transit" in name for name in norms)


def test_the_trunk_runs_once_per_chunk(built: dict[str, Any], speech: torch.Tensor) -> None:
    seen: list[int] = []
    hook = built["shared-trunk"].model.network.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    with torch.no_grad():
        built["shared-trunk"](*rows_of(speech, [0, 0, 0, 1, 1], 149))
    hook.remove()
    assert seen == [2]


@pytest.mark.filterwarnings("ignore:Mismatch between frames")
@pytest.mark.parametrize("name", ["baseline", "shared-folded", "onnx-tuned", "int8-static"])
def test_the_exported_file(name: str, built: dict[str, Any], small: Any, speech: torch.Tensor, tmp_path: Path) -> None:
    notes = export_variant(name, small, tmp_path / "model.onnx")
    assert notes["source"] == "test"
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    for owners, frames, samples in (([0, 0, 0], 293, 48_000), ([1], 97, 33_333)):
        waveforms, weights = rows_of(speech, owners, frames, samples)
        (found,) = session.run(None, {"waveform": waveforms.numpy(), "weights": weights.numpy()})
        with torch.no_grad():
            expected = (small if name != "int8-static" else built[name])(waveforms, weights)
        assert F.cosine_similarity(torch.from_numpy(found), expected).min() > 0.9999


@pytest.mark.parametrize("entry", variants.select("all"), ids=lambda entry: entry.name)
def test_all_others_say_why_they_do_not_apply(entry: Any, small: Any) -> None:
    if entry.name in {*EXACT, "int8-static", "best", "baseline", "baseline-twin", "torch-compile", "openvino"}:
        return
    with pytest.raises(variants.UnavailableError) as raised:
        variants.build(entry.name, small)
    assert len(str(raised.value).splitlines()) == 1


def test_the_baseline_is_not_touched(small: Any, built: dict[str, Any]) -> None:
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in small.head.modules()) == 2 + 2 * 4 + 2
