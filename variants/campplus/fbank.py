"""Kaldi's log mel filterbank as one convolution and one product, which any runtime has: torchaudio's, row by row.

All that Kaldi does to a frame before it takes the power spectrum is linear: subtracting the frame's mean, emphasising
high frequencies, the window, the discrete Fourier transform. So it is 400 taps a frequency, worked out once.
"""

import torch
from torch import nn

LENGTH, SHIFT, POINTS = 400, 160, 512  # samples of a frame, between frames, and of its Fourier transform, at 16 kHz
EMPHASIS, EPSILON = 0.97, torch.finfo(torch.float32).eps


def spectral_kernels() -> torch.Tensor:
    """Taps (2 * 256, 1, 400) of the real and, behind them, the imaginary parts of a frame's spectrum, Nyquist's not."""
    frames = torch.eye(LENGTH, dtype=torch.float64)
    frames = frames - frames.mean(dim=1, keepdim=True)
    frames = frames - EMPHASIS * torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
    window = torch.hann_window(LENGTH, periodic=False, dtype=torch.float64) ** 0.85  # Povey's
    spectrum = torch.fft.rfft(frames * window, n=POINTS)[:, : POINTS // 2]
    return torch.cat([spectrum.real, spectrum.imag], dim=1).t()[:, None].float().contiguous()


def mel_banks(bins: int) -> torch.Tensor:
    """Kaldi's triangular filters (bins, 256) over the spectrum's power, 20 Hz to 8 kHz."""
    from torchaudio.compliance.kaldi import get_mel_banks

    banks: torch.Tensor
    banks, _ = get_mel_banks(bins, POINTS, 16_000.0, 20.0, 0.0, 100.0, -500.0, 1.0)  # the last three: no warping
    return banks


class Fbank(nn.Module):
    """Features (rows, bins, frames) of waveforms (rows, 1, samples) at 16 kHz; neither parameters nor state.

    Each row's are `torchaudio.compliance.kaldi.fbank(num_mel_bins=bins, dither=0)`.
    """

    def __init__(self, bins: int = 80) -> None:
        super().__init__()
        self.register_buffer("kernels", spectral_kernels(), persistent=False)
        self.register_buffer("banks", mel_banks(bins), persistent=False)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        spectrum = nn.functional.conv1d(waveforms, self.get_buffer("kernels"), stride=SHIFT)
        real, imaginary = torch.square(spectrum).chunk(2, dim=1)
        return (self.get_buffer("banks") @ (real + imaginary)).clamp(min=EPSILON).log()
