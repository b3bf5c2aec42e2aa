"""Every technique on CAM++: exact where it says so, else close; what does not apply is skipped with the reason."""

from pathlib import Path
from typing import Any

import numpy as np
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
    """Rows of these speakers, each heard in a stretch of its own; the second row is silent where there are three."""
    weights = torch.full((len(owners), frames), 1e-8)
    for row in range(len(owners)):
        weights[row, row * frames // 7 : (row + 4) * frames // 7] = 0.2 + 0.1 * row
    if len(owners) > 2:
        weights[1] = 2e-7
    return speech[owners, :, :samples], weights


@pytest.fixture(scope="module")
def built(small: Any) -> dict[str, Any]:
    return {name: variants.as_embedding_model(variants.build(name, small)) for name in [*EXACT, "int8-static", "best"]}


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
            assert torch.equal(found.isnan(), expected.isnan()), name
            speaks = ~expected.isnan().any(dim=1)
            assert F.cosine_similarity(found[speaks].double(), expected[speaks].double()).min() > 0.999999, name
            torch.testing.assert_close(found.norm(dim=1), expected.norm(dim=1), rtol=1e-4, atol=0, equal_nan=True)


def test_int8_is_close(built: dict[str, Any], small: Any, speech: torch.Tensor) -> None:
    waveforms, weights = rows_of(speech, [0, 1], 149)
    with torch.no_grad():
        expected = small(waveforms, weights)
        for name in ("int8-static", "best"):
            cosines = F.cosine_similarity(built[name](waveforms, weights), expected)
            assert 0.98 < cosines.min() < 0.99999, (name, cosines)


def test_int8_leaves_waveform_features_masks_and_the_last_layer(built: dict[str, Any]) -> None:
    graph = onnx.load(str(built["int8-static"].model.path)).graph
    made = {output: node.op_type for node in graph.node for output in node.output}
    in_float = [n.name for n in graph.node if n.op_type == "Conv" and made.get(n.input[1]) != "DequantizeLinear"]
    masks = 2 * (2 + 2 + 1)
    assert len(in_float) == 3 + masks and sum("cam_layer" in name for name in in_float) == masks


def test_folding_leaves_only_norms_before_a_relu(built: dict[str, Any]) -> None:
    norms = [
        name for name, layer in built["shared-folded"].model.named_modules() if "BatchNorm" in type(layer).__name__
    ]
    dense, transits = 2 + 2 + 1, 3
    assert len(norms) == dense + transits and all("nonlinear1" in name or "transit" in name for name in norms)


def test_features_once_per_chunk_and_the_network_for_those_that_speak(
    built: dict[str, Any], speech: torch.Tensor
) -> None:
    model = built["shared-trunk"].model
    seen: dict[str, list[int]] = {"fbank": [], "head": []}
    hooks = [
        module.register_forward_pre_hook(lambda _, given, name=name: seen[name].append(len(given[0])))
        for name, module in (("fbank", model.fbank.module), ("head", model.head))
    ]
    waveforms, weights = rows_of(speech, [0, 0, 0, 1, 1], 149)
    with torch.no_grad():
        model(waveforms, weights)
        assert model(waveforms, torch.full_like(weights, 1e-8)).isnan().all()
        model(waveforms)
    for hook in hooks:
        hook.remove()
    assert seen == {"fbank": [2, 2, 2], "head": [4, 5, 5]}


def test_nobody_speaks(built: dict[str, Any], speech: torch.Tensor) -> None:
    for name in [*EXACT, "int8-static", "best"]:
        assert built[name](speech, torch.full((2, 149), 1e-8)).isnan().all(), name


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
        assert np.array_equal(np.isnan(found), expected.isnan().numpy())
        speaks = ~expected.isnan().any(dim=1)
        assert F.cosine_similarity(torch.from_numpy(found)[speaks], expected[speaks]).min() > 0.9999


@pytest.mark.parametrize("entry", variants.select("all"), ids=lambda entry: entry.name)
def test_all_others_say_why_they_do_not_apply(entry: Any, small: Any) -> None:
    if entry.name in {*EXACT, "int8-static", "best", "baseline", "baseline-twin", "openvino"}:
        return
    with pytest.raises(variants.UnavailableError) as raised:
        variants.build(entry.name, small)
    assert len(str(raised.value).splitlines()) == 1


def test_the_baseline_is_not_touched(small: Any, built: dict[str, Any]) -> None:
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in small.head.modules()) == 2 + 2 * 4 + 2
