"""The streaming segmentation: which frames are scored from what, by torch alone; what starts afresh; faults."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from streams import COUNT, FIELD, HOP, LENGTH, near, noise, pyannet, scores
from torch import nn

import variants
from variants.streaming.recurrence import Recurrence
from variants.streaming.streaming_segmentation import StreamingSegmentation


@pytest.fixture(scope="module")
def one() -> Any:
    """Of one layer. Not to be changed."""
    return pyannet(1)


def streaming(model: Any, **settings: float) -> StreamingSegmentation:
    return StreamingSegmentation(copy.deepcopy(model), **settings).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize(("layers", "monolithic", "linear"), [(1, True, 0), (2, True, 2), (3, False, 1)])
def test_two_parts_are_scored_as_one_by_the_stock_model(layers: int, monolithic: bool, linear: int) -> None:
    model = pyannet(layers, monolithic, linear)
    features = torch.randn(20, 2, 60, generator=torch.Generator().manual_seed(0))
    model.sincnet = nn.Identity()
    expected = model(features.permute(1, 2, 0)).transpose(0, 1)
    recurrence = Recurrence(model)
    for first in (1, 12, 19):
        found, state = recurrence(features[:first], features[first:], recurrence.start(2))
        near(found, expected)
        if first < 19:  # from the state between the parts, the second alone is scored the same
            again, _ = recurrence(features[first:19], features[19:], state)
            near(again, expected[first:])


@pytest.mark.parametrize("samples", [1261, LENGTH, 33_333, 80_000])
def test_a_first_chunk_is_scored_as_by_the_stock_model(one: Any, samples: int) -> None:
    model = streaming(one)
    assert (model.frame_trunk.hop, model.frame_trunk.field) == (HOP, FIELD) == (270, one.receptive_field_size(1))
    near(scores(model, noise(samples)), one(noise(samples)[None, None])[0])


@pytest.mark.parametrize("ahead", [1, 15, 40])
def test_between_whole_chunks_frames_keep_what_they_were_last_given(one: Any, ahead: int) -> None:
    """All frames of the recording at once, backwards from each chunk's end, by torch's own LSTM."""
    model, wave = streaming(one, ahead=ahead * HOP / 16_000, anew=9.0), noise(60_000)
    _, first = model.frame_trunk.start(wave[:LENGTH])
    features, _ = model.frame_trunk.start(wave, first.moments)  # as the stream's first chunk has them normalised
    lstm = one.lstm
    both, _ = lstm(features)
    onwards = both[:, :16]
    expected = torch.zeros(len(features), 3)
    begun, end = 0, COUNT
    for step in (0, 10, 3, 25, 10):  # frames
        end += step
        back = lstm(features[begun:end])[0][:, 16:]
        outputs = torch.cat([onwards[begun:end], back], dim=1)
        for linear in one.linear:
            outputs = nn.functional.leaky_relu(linear(outputs))
        expected[begun:end] = torch.sigmoid(one.classifier(outputs))
        begun = end - ahead
        begin = (end - COUNT) * HOP
        near(scores(model, wave[begin : begin + LENGTH]), expected[end - COUNT : end])
    assert len(model.streams) == 1


def test_chunks_computed_as_a_whole_are_nearly_the_stock_models(one: Any) -> None:
    """But for the norms' statistics, which leave out the few outputs that no frame needs."""
    model, wave = streaming(one, anew=0.0), noise(80_000)
    wave[30_000:] *= 0.01  # what was heard louder is scored in the loudness of the chunk
    for begin in range(0, 60_001, 20 * HOP):
        chunk = wave[begin : begin + LENGTH]
        found, stock = scores(model, chunk), one(chunk[None, None])[0]
        assert (found - stock).abs().max() < 0.005
        assert model.streams[0].age == 0 and len(model.streams[0].raw) == 1
    assert len(model.streams) == 1


def test_a_whole_chunk_behind_steps_is_nearly_the_stock_models(one: Any) -> None:
    model, wave, apart = streaming(one, anew=0.5), noise(80_000), []
    for begin in range(0, 60_001, 10 * HOP):
        chunk = wave[begin : begin + LENGTH]
        found = scores(model, chunk)
        if model.streams[0].age == 0:
            apart.append(float((found - one(chunk[None, None])[0].detach()).abs().max()))
    assert len(apart) == 6 and max(apart) < 0.005


def test_a_norm_that_turns_the_waveform_over_is_none_to_the_filters_extremes(one: Any) -> None:
    turned, wave = copy.deepcopy(one), noise(60_000) + 0.3
    turned.sincnet.wav_norm1d.weight.data.fill_(-1.5)
    for anew in (0.0, 9.0):
        model = streaming(turned, anew=anew)
        _, first = model.frame_trunk.start(wave[:LENGTH])
        features, _ = model.frame_trunk.start(wave[: LENGTH + 20 * HOP], first.moments)
        scores(model, wave[:LENGTH])
        scores(model, wave[20 * HOP : 20 * HOP + LENGTH])
        if anew:
            near(model.streams[0].features, features[-15:], 1e-4)
        else:
            near(model.streams[0].scores, turned(wave[None, None, 20 * HOP : 20 * HOP + LENGTH])[0], 0.005)


def test_what_follows_a_whole_chunk_is_as_if_the_stream_began_there(one: Any) -> None:
    aged, fresh, wave = streaming(one, anew=0.5), streaming(one, anew=0.5), noise(60_000)
    wave[40 * HOP :] *= 0.01
    scores(aged, wave[:LENGTH])
    for begin in (40 * HOP, 45 * HOP, 60 * HOP):
        found, expected = (scores(model, wave[begin : begin + LENGTH]) for model in (aged, fresh))
        near(found, expected, 0.005)
    assert aged.streams[0].age == fresh.streams[0].age == 20


def test_a_chunk_costs_its_new_frames_and_those_scored_again(one: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, wave, runs = streaming(one, ahead=10 * HOP / 16_000, anew=0.5), noise(80_000), []
    run, onward = model.scoring.run, model.onward.run
    monkeypatch.setattr(model.scoring, "run", lambda feed: (runs.append(len(feed["before"])), run(feed))[1])
    # the filters' outputs reach over 271 samples, 30 apart
    new = lambda feed: divmod(len(feed["samples"]) - 241, HOP)  # noqa: E731
    monkeypatch.setattr(model.onward, "run", lambda feed: (runs.append(new(feed)), onward(feed))[1])
    for begin in range(0, 10 * 15 * HOP, 15 * HOP):
        scores(model, wave[begin : begin + LENGTH])
    # 15 new frames a step; 45 are more than half of 71
    assert runs == [61, (15, 0), (15, 0)] * 3 + [61]
    runs.clear()
    scores(model, wave[begin : begin + LENGTH])  # the very same again
    scores(model, wave[begin + 100 : begin + 100 + LENGTH])  # no new frame
    assert runs == []


def test_scores_are_read_between_frames(one: Any) -> None:
    model, wave = streaming(one, anew=9.0), noise(40_000)
    scores(model, wave[:LENGTH])
    # 86 frames are complete in 24000 samples; the first of the last 71 begins at 4050, 50 behind the chunk
    found, kept = scores(model, wave[4000 : 4000 + LENGTH]), model.streams[0].scores
    assert (len(kept), model.streams[0].frames) == (COUNT, 86)
    near(found[1:], kept[1:] + 50 / 270 * (kept[:-1] - kept[1:]))
    near(found[0], kept[0])
    # as many in 24200, so that they begin 150 before the chunk
    found = scores(model, wave[4200 : 4200 + LENGTH])
    near(found[:-1], kept[:-1] + 150 / 270 * (kept[1:] - kept[:-1]))
    near(found[-1], kept[-1])


@settings(max_examples=15, deadline=None)
@given(
    length=st.integers(1261, 12_000),
    steps=st.lists(st.one_of(st.sampled_from([0, 1, 269, 270, 271, 4000]), st.integers(1, 9000)), max_size=8),
)
@example(length=1292, steps=[465, 826])  # hardly a frame in common
def test_any_chunk_and_step_gives_as_many_frames_as_the_stock_model(one: Any, length: int, steps: list[int]) -> None:
    model, wave, begin = streaming(one), noise(90_000), 0
    for step in [0, *steps]:
        begin += step
        found = scores(model, wave[begin : begin + length])
        assert found.shape == (one.num_frames(length), 3) and found.isfinite().all()
        assert bool((found >= 0).all()) and bool((found <= 1).all())


@settings(max_examples=6, deadline=None)
@given(order=st.lists(st.integers(0, 2), min_size=3, max_size=12), step=st.integers(1, 6000))
def test_streams_that_share_a_model_do_not_meet(one: Any, order: list[int], step: int) -> None:
    shared, alone = streaming(one), [streaming(one) for _ in range(3)]
    waves, begins = [noise(100_000, seed) for seed in range(3)], [0, 0, 0]
    for stream in order:
        chunk = waves[stream][begins[stream] : begins[stream] + LENGTH]
        assert torch.equal(scores(shared, chunk), scores(alone[stream], chunk))
        begins[stream] += step


def test_a_jump_a_gap_and_another_length_start_afresh(one: Any) -> None:
    wave = noise(90_000)
    for begin, length in ((3999 + LENGTH, LENGTH), (60_000, LENGTH), (2000, LENGTH), (8000, LENGTH + 1)):
        model = streaming(one)
        for before in (0, 2000, 4000):
            scores(model, wave[before : before + LENGTH])
        chunk = wave[begin : begin + length]
        near(scores(model, chunk), one(chunk[None, None])[0])


@pytest.mark.parametrize("lost", [float("nan"), float("inf")])
def test_what_is_not_finite_spoils_its_own_chunks_only(one: Any, lost: float) -> None:
    wave, model = noise(90_000), streaming(one)
    wave[30_000] = lost
    for begin in range(0, 60_001, 4000):
        chunk = wave[begin : begin + LENGTH]
        found = scores(model, chunk)
        assert bool(found.isfinite().all()) == bool(chunk.isfinite().all())
        if begin == 32_000:  # the first one behind it
            near(found, one(chunk[None, None])[0])


@pytest.mark.parametrize("level", [0.0, 0.25])
def test_silence_is_scored_as_by_the_stock_model_and_what_follows_afresh(one: Any, level: float) -> None:
    wave, model = torch.cat([noise(40_000, 1), torch.full((40_000,), level), noise(40_000, 2)]), streaming(one)
    for begin in range(0, len(wave) - LENGTH + 1, 4000):
        chunk = wave[begin : begin + LENGTH]
        found = scores(model, chunk)
        assert found.isfinite().all()
        if bool((chunk == level).all()) or begin == 64_000:  # 60000 is the last of silence alone
            near(found, one(chunk[None, None])[0], 1e-4)


def test_clipped_sound_stays_near_the_stock_model(one: Any) -> None:
    wave, model = (50 * noise(80_000)).clamp(-1, 1), streaming(one, anew=0.0)
    for begin in range(0, 60_001, 10 * HOP):
        chunk = wave[begin : begin + LENGTH]
        assert (scores(model, chunk) - one(chunk[None, None])[0]).abs().max() < 0.005


def test_int8_scores_nearly_the_same(one: Any) -> None:
    wave = noise(60_000)
    found = [variants.build(f"streaming-segmentation{suffix}", one) for suffix in ("", "-int8")]
    apart = 0.0
    for begin in range(0, 40_000, 4000):
        mine, other = (scores(model, wave[begin : begin + LENGTH]) for model in found)
        apart = max(apart, float((mine - other).abs().max()))
    assert 0 < apart < 0.05


def test_what_is_no_pyannet_of_two_directions_says_so(one: Any, stock: Any) -> None:
    with pytest.raises(variants.UnavailableError, match="needs a PyanNet"):
        StreamingSegmentation(copy.deepcopy(stock))
    onwards = copy.deepcopy(one)
    onwards.lstm = nn.LSTM(60, 16, batch_first=True)
    with pytest.raises(variants.UnavailableError, match="two directions"):
        StreamingSegmentation(onwards)
