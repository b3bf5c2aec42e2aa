"""The encoder against transformers' `WavLMModel`, hidden state by hidden state."""

from pathlib import Path
from typing import Any

import pytest
import torch

from variants import UserError
from variants.loading import load
from variants.wavlm import Encoder
from variants.wavlm.sizes import BASE_PLUS, LARGE
from variants.wavlm.weights import converted, load_preset, pretrained, sizes_of

transformers = pytest.importorskip("transformers")


def theirs(large: bool, **sizes: Any) -> Any:
    """A model as microsoft/wavlm-base-plus or -large is configured, with random weights."""
    big = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
    kind = {"do_stable_layer_norm": large, "feat_extract_norm": "layer" if large else "group"}
    torch.manual_seed(0)
    return transformers.WavLMModel(transformers.WavLMConfig(**kind, **(sizes or (big if large else {})))).eval()


def difference(model: Any, seconds: float, rows: int = 1) -> float:
    """The largest over all hidden states, of values of order 1."""
    encoder = Encoder(sizes_of(model.config)).eval()
    encoder.load_state_dict(converted(model.state_dict()))
    waveforms = torch.randn(rows, int(16_000 * seconds))
    with torch.no_grad():
        wanted, found = model(waveforms, output_hidden_states=True).hidden_states, encoder(waveforms)
    assert len(wanted) == len(found) == model.config.num_hidden_layers + 1
    return max(float((a - b).abs().max()) for a, b in zip(wanted, found, strict=True))


TINY = {
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "conv_dim": (32,) * 7,
}


@pytest.mark.parametrize("large", [False, True], ids=["base", "large"])
def test_tiny(large: bool) -> None:
    model = theirs(large, **TINY)
    for parameter in model.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    assert difference(model, 3.0, rows=2) < 1e-5  # 3 s: far positions share buckets


@pytest.mark.slow
@pytest.mark.parametrize("large", [False, True], ids=["base-plus", "large"])
def test_full_size(large: bool) -> None:
    model = theirs(large)
    assert sizes_of(model.config) == (LARGE if large else BASE_PLUS)
    assert difference(model, 1.0) < 1e-5


def test_local_checkpoint(stirred: Any, tmp_path: Path) -> None:
    model = stirred(theirs(False, **TINY))
    model.save_pretrained(tmp_path)
    encoder = pretrained(str(tmp_path))
    waveform = torch.randn(1, 16_000)
    with torch.no_grad():
        torch.testing.assert_close(encoder(waveform)[-1], model(waveform).last_hidden_state, atol=1e-5, rtol=1e-5)
    with pytest.raises(UserError, match="has not the sizes of wavlm-base-plus-s80"):
        load("segmentation", f"wavlm-base-plus-s80={tmp_path}")


def test_what_is_no_wavlm_is_refused_in_one_line(tmp_path: Path) -> None:
    model = theirs(False, **TINY, num_conv_pos_embedding_groups=8)
    with pytest.raises(UserError, match="another kind"):
        sizes_of(model.config)
    for folder in (tmp_path / "missing", tmp_path):
        with pytest.raises(UserError) as raised:
            load_preset("wavlm-base-plus", str(folder))
        assert len(str(raised.value).splitlines()) == 1
