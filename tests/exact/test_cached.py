"""The cached first convolution and what builds on it: the uncached numbers, whatever comes in whatever order."""

import copy
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import variants
from bench.corpus import Recording
from variants.exact.cached import CachedFront
from variants.exact.memory import STREAMS, missed, remember

SAMPLES = 1200  # of a chunk: 96 outputs of a kernel of 251 with a stride of 10


def make_front() -> tuple[CachedFront, nn.Module, list[int]]:
    """A cached front of few filters (one with a gain), the same uncached, and a list that gets samples convolved."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        norm, convolution = nn.InstanceNorm1d(1, affine=True), nn.Conv1d(1, 4, 251, stride=10, bias=False)
        nn.init.constant_(norm.weight, -1.3)
        nn.init.constant_(norm.bias, 0.4)
        convolution.weight.data[0] += 0.1
    pool = nn.MaxPool1d(3, stride=3)
    front = CachedFront(norm, convolution, pool)
    convolved: list[int] = []
    extremes = front._extremes
    object.__setattr__(front, "_extremes", lambda x: (convolved.append(len(x)), extremes(x))[1])
    plain = nn.Sequential(norm, convolution)
    return front, nn.Sequential(plain, Modulus(), pool), convolved


class Modulus(nn.Module):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.abs()


def noise(samples: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def same(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected.detach(), rtol=2e-5, atol=2e-5)


def chunk(wave: torch.Tensor, first: int) -> torch.Tensor:
    return wave[first : first + SAMPLES][None, None].clone()


def test_a_hit_convolves_the_new_samples_only() -> None:
    front, plain, convolved = make_front()
    wave = noise(10_000)
    for first in range(0, 8000, 200):
        same(front(chunk(wave, first)), plain(chunk(wave, first)))
    # 20 new positions of 3 outputs each, of which the last two reach over: 22 windows; 1200 = 251 + 94 * 10 + 9
    assert convolved == [1200] + [21 * 10 + 251 + 9] * 39
    assert len(front.streams) == 1


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.integers(-60, 160), min_size=1, max_size=12), odd=st.sets(st.integers(0, 11)))
def test_any_walk_over_a_recording(steps: list[int], odd: set[int]) -> None:
    front, plain, _ = make_front()
    wave, first = noise(8000), 3000
    for i, step in enumerate([0, *steps]):
        first = min(max(first + 10 * step + (3 if i in odd else 0), 0), 8000 - SAMPLES)
        same(front(chunk(wave, first)), plain(chunk(wave, first)))


def test_steps_are_found_whatever_they_are() -> None:
    front, _, convolved = make_front()
    wave = noise(8000)
    for first in (0, 10, 10, 210, 1080):
        front(chunk(wave, first))
    assert convolved[0] == 1200 and max(convolved[1:]) < 1200 and len(convolved) == 4  # none at all for the very same
    front(chunk(wave, 1083))  # no multiple of the stride
    assert convolved[-1] == 1200
    front(chunk(wave, 1083 + 1190))  # nothing worth keeping is left
    assert convolved[-1] == 1200


@pytest.mark.parametrize("at", [0, 63, 64, 500, 999])
def test_a_changed_sample_is_a_miss(at: int) -> None:
    front, plain, convolved = make_front()
    wave = noise(4000)
    for first in (0, 200):
        front(chunk(wave, first))
    changed = chunk(wave, 400)
    changed.view(torch.int32)[0, 0, at] ^= 1  # the lowest bit
    same(front(changed), plain(changed))
    assert convolved == [1200, 470, 1200]
    lost = chunk(wave, 400)
    lost[0, 0, at] = float("nan")
    assert front(lost).isnan().all() and front(lost).isnan().all()
    assert convolved[3:] == [1200, 1200]


def test_streams_that_share_a_model_do_not_meet() -> None:
    front, plain, convolved = make_front()
    waves = [noise(4000, seed) for seed in range(STREAMS)]
    for first in range(0, 2000, 200):
        batch = torch.cat([chunk(wave, first) for wave in waves])
        same(front(batch), plain(batch))
    assert convolved == [1200] * STREAMS + [470] * (9 * STREAMS)
    for seed in range(10, 10 + STREAMS):  # as many others push them out
        front(chunk(noise(4000, seed), 0))
    same(front(chunk(waves[0], 2000)), plain(chunk(waves[0], 2000)))
    assert convolved[-1] == 1200 and len(front.streams) == STREAMS


@pytest.mark.parametrize("room", [12, 4])
def test_twelve_interleaved_streams_are_as_each_alone(room: int) -> None:
    """In any order and number at a time; with too little room they are right, too, and each miss is counted."""
    waves = [noise(6000, seed) for seed in range(12)]
    alone = []
    for wave in waves:
        front, *_ = make_front()
        alone.append([front(chunk(wave, first)) for first in range(0, 2000, 200)])
    front, _, convolved = make_front()
    remember(room, front)
    order = np.random.default_rng(0)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for step in range(10):
            for streams in np.array_split(order.permutation(12), 5):
                found = front(torch.cat([chunk(waves[s], 200 * step) for s in streams]))
                for stream, row in zip(streams, found, strict=True):
                    same(row, alone[stream][step][0])
    misses = len(convolved) - 12 - sum(samples < 1200 for samples in convolved)
    assert missed(front) == misses == len(said) and len(front.streams) == room
    assert misses == 0 if room == 12 else misses > 60  # of 108: at random, the last four come again now and then


def test_what_cannot_be_continued_pushes_nobody_out() -> None:
    front, _, convolved = make_front()
    waves = [noise(4000, seed) for seed in range(STREAMS)]
    for first in (0, 200, 400):
        for wave in waves:
            front(chunk(wave, first))
        lost = chunk(noise(4000, 99), first)
        lost[..., 700] = float("nan")
        front(lost)
    assert len(convolved) == 3 * (STREAMS + 1) and convolved.count(1200) == STREAMS + 3 and missed(front) == 0


def test_silence_and_other_lengths() -> None:
    front, plain, _ = make_front()
    wave = torch.cat([torch.zeros(2000), noise(2000), torch.zeros(2000)])
    for first in range(0, 4800, 200):
        same(front(chunk(wave, first)), plain(chunk(wave, first)))
    for samples in (281, 500, 1201):  # 281: three outputs, so one frame
        short = noise(samples)[None, None]
        for _ in range(2):
            same(front(short), plain(short))
    with pytest.raises(RuntimeError):
        front(noise(200)[None, None])


def test_what_is_handed_in_and_out_stays_the_callers() -> None:
    front, plain, _ = make_front()
    wave = noise(4000)
    given = chunk(wave, 0)
    found = front(given)
    expected = found.clone()
    given.zero_()
    same(front(chunk(wave, 200)), plain(chunk(wave, 200)))
    assert torch.equal(found, expected)


@pytest.fixture(scope="module")
def walk(clip: Recording) -> list[torch.Tensor]:
    """Chunks of 5 s: eight steps, a jump, the same again, another step."""
    wave = torch.from_numpy(clip.waveform())
    starts = [*range(0, 32_000, 4000), 64_000, 64_000, 68_000]
    return [wave[:, first : first + 80_000][None].float() for first in starts]


@pytest.mark.parametrize(
    "name", ["cached-sinc", "best-exact", "distilled-cached-sinc", "distilled-best-exact"]
)  # fmt: skip
def test_embeddings_are_the_parents(name: str, stock: Any, walk: list[torch.Tensor]) -> None:
    root = "distilled" if name.startswith("distilled") else "baseline"
    plain, cached = variants.build(root, stock), variants.build(name, stock)
    weights = torch.rand(3, 293, generator=torch.Generator().manual_seed(0)) ** 6
    weights[2] = 1e-8
    with torch.no_grad():
        for waveform in walk[-4:]:
            rows = waveform.repeat(3, 1, 1)
            assert torch.cosine_similarity(cached(rows, weights), plain(rows, weights)).min() >= 0.99999
        batch = torch.cat([walk[0], walk[0], walk[1]])  # unequal numbers of rows
        assert torch.cosine_similarity(cached(batch, weights), plain(batch, weights)).min() >= 0.99999
        assert torch.cosine_similarity(cached(batch), plain(batch)).min() >= 0.99999


@pytest.mark.parametrize(
    "name", ["segmentation-frozen", "segmentation-cached", "segmentation-onnx", "segmentation-cached-onnx"]
)
def test_segmentation_variants_label_alike(name: str, segmenter: Any, walk: list[torch.Tensor]) -> None:
    plain, other = copy.deepcopy(segmenter), variants.build(name, segmenter)
    assert other.specifications.classes == plain.specifications.classes
    with torch.no_grad():
        for waveform in walk:
            expected, found = plain(waveform), other(waveform)
            # the fixture's classifier is scaled up until its outputs cross thresholds, and rounding with it
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)
        batch = torch.cat(walk[:3])
        torch.testing.assert_close(other(batch), plain(batch), rtol=0, atol=1e-3)
