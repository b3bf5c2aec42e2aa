"""Perturbations: how far they may move a sample, that they repeat, and that they differ."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.pipeline.perturb import SHIFT, STEP, perturbed

WAVEFORMS = st.integers(1, 600).flatmap(lambda n: arrays(np.float32, (1, n), elements=st.floats(-1, 1, width=32)))
SEEDS = st.integers(1, 10_000)


def shifts(seeds: range, name: str = "") -> list[int]:
    """Where a lone click of half the full scale lands."""
    click = np.zeros((1, 4 * SHIFT), np.float32)
    click[0, 2 * SHIFT] = 0.5
    return [int(perturbed(click, seed, name)[0].argmax()) - 2 * SHIFT for seed in seeds]


def test_the_recording_as_it_is() -> None:
    waveform = np.array([[0.1, -0.3, 7.0]], np.float32)
    assert perturbed(waveform, 0) is waveform


@given(WAVEFORMS, SEEDS)
def test_one_shift_and_less_than_one_step_and_a_half(waveform: np.ndarray, seed: int) -> None:
    """Some whole shift explains every sample up to dither (1 step) and rounding (half a step, and the top one)."""
    found = perturbed(waveform, seed)
    assert found.dtype == np.float32
    assert found.shape == waveform.shape
    padded = np.pad(waveform[0], SHIFT)
    reach = [np.abs(padded[SHIFT - s :][: found.size] - found[0]).max() for s in range(-SHIFT, SHIFT + 1)]
    assert min(reach) <= 1.5 * STEP + 1e-9 or found.max() == 1 - STEP
    levels = found / STEP
    assert (levels == np.rint(levels)).all()
    assert -1 <= found.min() <= found.max() < 1


@given(WAVEFORMS, SEEDS)
def test_the_same_seed_gives_the_same(waveform: np.ndarray, seed: int) -> None:
    before = waveform.copy()
    np.testing.assert_array_equal(perturbed(waveform, seed), perturbed(waveform, seed))
    np.testing.assert_array_equal(waveform, before)


def test_shifts_go_either_way_and_no_further_than_half_a_frame() -> None:
    found = shifts(range(1, 2001))
    assert min(found) == -135  # of 271 values each is missed by 2000 draws with probability 0.0006
    assert max(found) == 135
    assert len(set(found)) > 250


def test_dither_is_fresh_for_every_seed_and_has_no_mean() -> None:
    silence = np.zeros((1, 100_000), np.float32)
    one, other = perturbed(silence, 1) / STEP, perturbed(silence, 2) / STEP
    assert set(np.unique(one)) == {-1, 0, 1}
    assert abs(np.mean(one != 0) - 0.5) < 0.01  # uniform, then rounded
    assert abs(one.mean()) < 0.01
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.02


def test_a_longer_recording_begins_alike() -> None:
    """What `--accuracy 60` cuts from an hour is what it would be in the whole hour, but for the edge."""
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 5000)).astype(np.float32)
    whole, cut = perturbed(waveform, 3), perturbed(waveform[:, :3000], 3)
    np.testing.assert_array_equal(whole[:, : 3000 - SHIFT], cut[:, : 3000 - SHIFT])


def test_pieces_are_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 5000)).astype(np.float32)
    whole = perturbed(waveform, 5)
    monkeypatch.setattr("bench.pipeline.perturb.PIECE", 999)
    np.testing.assert_array_equal(perturbed(waveform, 5), whole)


def test_recordings_are_perturbed_independently_of_one_another() -> None:
    assert shifts(range(1, 20), "one") != shifts(range(1, 20), "other")
