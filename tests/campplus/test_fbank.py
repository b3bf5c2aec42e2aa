"""The features against torchaudio's, which are Kaldi's, row by row; in double precision, its own errors are none."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchaudio.compliance import kaldi

from variants.campplus.fbank import Fbank


def theirs(waveforms: torch.Tensor, bins: int = 80) -> torch.Tensor:
    return torch.stack([kaldi.fbank(row, num_mel_bins=bins, dither=0).t() for row in waveforms])


def test_speech(speech: torch.Tensor) -> None:
    found = Fbank()(speech)
    assert found.shape == (2, 80, 298)
    # Telephone speech: what its filter took away, and rounding with it, is some 20 below the rest in these logarithms.
    torch.testing.assert_close(found, theirs(speech), atol=1e-3, rtol=0)
    torch.testing.assert_close(found.double(), theirs(speech.double()), atol=7e-4, rtol=0)


@settings(deadline=None, max_examples=25)
@given(
    st.integers(400, 4000), st.integers(1, 3), st.sampled_from([23, 80]), st.floats(-3, 0), st.floats(-0.5, 0.5),
    st.integers(0, 99),
)  # fmt: skip
def test_any_length_loudness_and_offset(
    samples: int, rows: int, bins: int, loudness: float, offset: float, seed: int
) -> None:
    noise = torch.randn(rows, 1, samples, generator=torch.Generator().manual_seed(seed))
    waveforms = 10**loudness * (noise + offset)
    found = Fbank(bins)(waveforms).double()
    torch.testing.assert_close(found, theirs(waveforms.double(), bins), atol=5e-4, rtol=0)


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_silence(value: float) -> None:
    found = Fbank()(torch.full((1, 1, 1600), value))
    torch.testing.assert_close(found, torch.full((1, 80, 8), math.log(2**-23)), atol=1e-3, rtol=0)  # float32's epsilon


def test_the_state_stays_empty() -> None:
    assert not Fbank().state_dict() and not list(Fbank().parameters())
