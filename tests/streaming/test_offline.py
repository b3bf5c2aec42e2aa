"""A whole recording at once, as a stream hears it: mixtures by hand, and the stream's own frames."""

from typing import Any

import numpy as np
import torch

from variants.streaming.offline import exponential, frames_by, mixed, shares
from variants.streaming.streaming_trunk import StreamingTrunk
from variants.streaming.trunk import moments_of


def test_shares_of_what_a_stream_forgets() -> None:
    """A first chunk of 5 s, two steps of 0.5 s, e-folding in 2 s: r = 1 - exp(-0.25), the recursion by hand."""
    r = 0.22119922
    expected = [[1, 0, 0], [1 - r, r, 0], [(1 - r) ** 2, (1 - r) * r, r]]
    np.testing.assert_allclose(shares(exponential(2.0), np.array([5.0, 5.5, 6.0])), expected, atol=1e-6)
    recent = shares(lambda lags: np.clip(lags, 0, 1), np.array([5.0, 5.5, 6.0]))  # a window of 1 s
    np.testing.assert_allclose(recent, [[1, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0.5]], atol=1e-9)


def test_moments_of_mixtures_are_those_of_all_samples() -> None:
    samples = torch.randn(30, 4, generator=torch.Generator().manual_seed(0)) * 3 + 1
    parts = torch.stack([moments_of(samples[:10]), moments_of(samples[10:])])
    found = mixed(parts, np.array([[1 / 3, 2 / 3], [1, 0]]))
    torch.testing.assert_close(found[0], moments_of(samples))
    torch.testing.assert_close(found[1], parts[0])


def test_frames_are_those_of_the_stream(folded: Any) -> None:
    model = StreamingTrunk(folded, seconds=1.0)
    trunk = model.frame_trunk
    size, step = trunk.field + 11 * trunk.hop, 2000  # nothing is left over of the first chunk
    wave = 0.1 * torch.randn(size + 9 * step, generator=torch.Generator().manual_seed(0))
    counts = [trunk.frames_in(size + i * step) for i in range(10)]
    with torch.no_grad():
        found = frames_by(trunk, wave, counts, exponential(1.0))
        for i, count in enumerate(counts):
            kept, centre, *_ = model.frames(wave[i * step : i * step + size])
            expected = kept[:, : len(centre)] + centre
            torch.testing.assert_close(found[count - 12 : count], expected, rtol=1e-4, atol=1e-4)
    assert len(model.streams) == 1
