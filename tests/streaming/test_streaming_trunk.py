"""The streaming trunk: each frame once, the same however it comes; streams apart; what makes one start afresh."""

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyannote.audio.models.blocks.pooling import StatsPool
from torch import Tensor, nn

import variants
from bench.corpus import Recording
from variants.exact.memory import STREAMS
from variants.streaming.step import GraphStep
from variants.streaming.streaming_trunk import StreamingTrunk, in_graphs
from variants.streaming.trunk import FrameTrunk, Stage, State, blended, moments_of

HOP, FIELD = 270, 4771  # by hand: strides 10, 3, 3, 3; 251 + 10 (2 + 3 (4 + 2 + 3 (4 + 2 + 3 * 14)))
LENGTH = 8000  # samples of a chunk: 12 frames, the last of which ends 259 samples before it


def noise(samples: int, seed: int = 0) -> Tensor:
    """With a level that changes, so that statistics do."""
    random = torch.Generator().manual_seed(seed)
    level = torch.rand(samples // 2000 + 1, generator=random).repeat_interleave(2000)[:samples]
    return 0.2 * level * torch.randn(samples, generator=random)


def frames(model: StreamingTrunk, chunk: Tensor) -> Tensor:
    """(n, features), as they are."""
    kept, centre, *_ = model.frames(chunk)
    return kept[:, : len(centre)] + centre


def near(found: Tensor, expected: Tensor, tolerance: float = 2e-5) -> None:
    torch.testing.assert_close(found, expected.detach(), rtol=tolerance, atol=tolerance)


def test_geometry_is_the_stock_models(folded: Any, stock: Any) -> None:
    trunk = FrameTrunk(folded)
    assert (trunk.hop, trunk.field) == (HOP, FIELD) == (270, stock.receptive_field_size(1))
    assert [trunk.frames_in(n) for n in (0, 4770, 4771, 5040, 5041, 80_000)] == [0, 0, 1, 1, 2, 279]
    assert [stock.num_frames(n) for n in (4771, 5040, 5041, 80_000)] == [1, 1, 2, 279]
    # one stage for each convolution that sees neighbours, and behind the last those that see one step
    assert [(s.field, s.hop) for s in trunk.stages] == [(271, 30), (7, 3), (7, 3), (5, 1), (5, 1), (7, 1)]


@pytest.mark.parametrize("samples", [FIELD, LENGTH, 33_333, 80_000])
def test_a_first_chunk_is_embedded_as_by_the_stock_model(folded: Any, samples: int) -> None:
    rows = noise(samples)[None, None].repeat(3, 1, 1)
    weights = torch.rand(3, 93, generator=torch.Generator().manual_seed(0)) ** 4
    weights[2] = 1e-8
    model = StreamingTrunk(folded)
    near(model(rows, weights), folded(rows, weights))
    if samples > FIELD:  # one frame has no deviation
        near(model(rows), folded(rows))


@settings(max_examples=20, deadline=None)
@given(
    length=st.integers(FIELD + 1000, 12_000),
    steps=st.lists(st.one_of(st.sampled_from([0, 1, 269, 270, 271, 4000]), st.integers(1, 4700)), max_size=10),
)
def test_with_statistics_that_stay_frames_are_those_of_the_whole_recording(
    folded: Any, length: int, steps: list[int]
) -> None:
    model = StreamingTrunk(folded, seconds=float("inf"))
    wave, begin = noise(70_000), 0
    _, first = model.frame_trunk.start(wave[:length])
    whole, _ = model.frame_trunk.start(wave, first.moments)
    for step in [0, *steps]:
        begin += step
        found = frames(model, wave[begin : begin + length])
        last = (begin + length - FIELD) // HOP + 1  # that are complete
        near(found, whole[last - len(found) : last])
        assert len(found) == (length - FIELD) // HOP + 1
    assert len(model.streams) == 1


@settings(max_examples=8, deadline=None)
@given(order=st.lists(st.integers(0, 2), min_size=3, max_size=14), step=st.integers(1, 3000))
def test_streams_that_share_a_model_do_not_meet(folded: Any, order: list[int], step: int) -> None:
    shared, alone = StreamingTrunk(folded), [StreamingTrunk(folded) for _ in range(3)]
    waves, begins = [noise(50_000, seed) for seed in range(3)], [0, 0, 0]
    for stream in order:
        chunk = waves[stream][begins[stream] : begins[stream] + LENGTH]
        assert torch.equal(frames(shared, chunk), frames(alone[stream], chunk))
        begins[stream] += step


def counted(model: StreamingTrunk) -> tuple[list[int], list[int]]:
    """Lists that get the samples of each start, and of each step."""
    starts: list[int] = []
    steps: list[int] = []
    trunk = model.frame_trunk
    start: Callable[..., Any] = trunk.start
    vars(trunk)["start"] = lambda wave, **how: (starts.append(len(wave)), start(wave, **how))[1]
    step = model.step
    vars(model)["_modules"].pop("step", None)
    vars(model)["step"] = lambda samples, *rest: (steps.append(len(samples)), step(samples, *rest))[1]
    return starts, steps


def walk(model: StreamingTrunk, wave: Tensor, begins: Sequence[int]) -> Tensor:
    """The frames of the last of the chunks that begin there."""
    return [frames(model, wave[begin : begin + LENGTH]) for begin in begins][-1]


def test_a_chunk_costs_its_new_samples_only(folded: Any) -> None:
    model = StreamingTrunk(folded)
    starts, steps = counted(model)
    walk(model, noise(60_000), range(0, 40_000, 4000))
    assert starts == [LENGTH]
    # 4000 = 14.8 frames: 15 or 14 at a time, and of 36000 samples in all but what does not fill a frame yet
    assert set(steps) == {14 * HOP, 15 * HOP} and sum(steps) == (36_000 + LENGTH - FIELD) // HOP * HOP - 11 * HOP
    walk(model, noise(60_000), [36_000, 36_100])  # the very same again; then too little for a frame
    assert starts == [LENGTH] and len(steps) == 9


def test_a_jump_a_gap_and_another_length_start_afresh(folded: Any) -> None:
    wave = noise(60_000)
    for begin in (3999 + LENGTH, 3900 + LENGTH, 3800 + LENGTH, 30_000, 2000):  # hardly any overlap, far, back
        model, fresh = StreamingTrunk(folded), StreamingTrunk(folded)
        walk(model, wave, [0, 2000, 4000])
        assert torch.equal(walk(model, wave, [begin]), walk(fresh, wave, [begin]))
    model = StreamingTrunk(folded)
    starts, _ = counted(model)
    walk(model, wave, [0, 4000])
    for begin in (4000, 12_000):
        frames(model, wave[begin : begin + 1 + LENGTH])
    assert starts == [LENGTH, LENGTH + 1, LENGTH + 1]


@pytest.mark.parametrize("at", [0, 63, 64, 2000, LENGTH - 4001])
def test_a_changed_sample_starts_afresh(folded: Any, at: int) -> None:
    model, wave = StreamingTrunk(folded), noise(30_000)
    walk(model, wave, [0, 4000])
    changed = wave[8000 : 8000 + LENGTH].clone()
    changed.view(torch.int32)[at] ^= 1  # the lowest bit
    assert torch.equal(frames(model, changed), frames(StreamingTrunk(folded), changed))


def test_what_was_kept_of_other_streams_is_bounded(folded: Any) -> None:
    model, waves = StreamingTrunk(folded), [noise(30_000, seed) for seed in range(STREAMS + 1)]
    starts, _ = counted(model)
    for begin in (0, 4000):
        for wave in waves[:STREAMS]:
            walk(model, wave, [begin])
    assert len(starts) == STREAMS
    walk(model, waves[STREAMS], [0])  # pushes the first out
    assert len(model.streams) == STREAMS and len(starts) == STREAMS + 1
    walk(model, waves[1], [8000])
    assert len(starts) == STREAMS + 1
    walk(model, waves[0], [8000])
    assert len(starts) == STREAMS + 2


@pytest.mark.parametrize("lost", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_spoils_its_own_chunks_only(folded: Any, lost: float) -> None:
    wave = noise(60_000)
    wave[20_000] = lost
    model = StreamingTrunk(folded)
    for begin in range(0, 40_000, 4000):
        chunk = wave[begin : begin + LENGTH]
        found, whole = model(chunk[None, None]), bool(chunk.isfinite().all())
        assert bool(found.isfinite().all()) == whole and bool(folded(chunk[None, None]).isfinite().all()) == whole
        if begin == 24_000:  # the first one behind it
            near(found, folded(chunk[None, None]))


@pytest.mark.parametrize("gain", [10.0, 1e6])  # from overdriven to a square wave
def test_a_clipped_stream_goes_on(folded: Any, gain: float) -> None:
    """Into it and out again: frames are those of the whole clipped recording."""
    wave = noise(60_000)
    wave[8000:40_000] = (gain * wave[8000:40_000]).clamp(-1, 1)
    model = StreamingTrunk(folded, seconds=float("inf"))
    starts, _ = counted(model)
    _, first = FrameTrunk(folded).start(wave[:LENGTH])
    whole, _ = FrameTrunk(folded).start(wave, first.moments)
    for begin in range(0, 52_001, 4000):
        chunk = wave[begin : begin + LENGTH]
        assert model(chunk[None, None]).isfinite().all()
        last = (begin + LENGTH - FIELD) // HOP + 1
        near(frames(model, chunk), whole[last - 12 : last], 1e-4)
    assert starts == [LENGTH]


def test_behind_a_gap_stands_what_the_stock_model_says(folded: Any) -> None:
    """Where two chunks share nothing, or it jumped back."""
    wave, model = noise(60_000), StreamingTrunk(folded)
    starts, _ = counted(model)
    for begin in (0, 2000, 12_000, 14_000, 40_000, 42_000, 1000):
        chunk = wave[begin : begin + LENGTH][None, None]
        found = model(chunk)
        assert found.isfinite().all()
        if begin in (0, 12_000, 40_000, 1000):
            near(found, folded(chunk))
    assert starts == 4 * [LENGTH]


def test_lost_samples_that_nobody_tells_of_are_but_a_splice(folded: Any) -> None:
    wave, model = noise(60_000), StreamingTrunk(folded)
    starts, _ = counted(model)
    walk(model, torch.cat([wave[:10_000], wave[11_000:]]), range(0, 14_001, 2000))
    assert starts == [LENGTH]


def test_silence_starts_afresh_and_costs_nothing_while_it_lasts(folded: Any) -> None:
    model = StreamingTrunk(folded)
    starts, _ = counted(model)
    walk(model, noise(20_000), [0, 2000])  # from now on the step is known
    for level in (0.0, 0.25):  # digital silence, with and without an offset
        starts.clear()
        wave = torch.cat([noise(4000, 1), torch.full((30_000,), level), noise(4000, 2)])
        for begin in range(0, len(wave) - LENGTH + 1, 2000):
            chunk = wave[begin : begin + LENGTH]
            found = model(chunk[None, None])
            assert found.isfinite().all()
            if begin >= 4000 and bool((chunk == level).all()):
                near(found, folded(chunk[None, None]))
        # the first chunk, the first of silence alone, and the first with sound behind it
        assert len(starts) == 3
    # two streams that have nothing but silence in common go on by themselves
    first, second = (torch.cat([noise(14_000, seed), torch.zeros(LENGTH), noise(4000, 9)]) for seed in (3, 4))
    walk(model, first, range(0, 14_001, 2000))
    alone = StreamingTrunk(folded)
    assert torch.equal(walk(model, second, [14_000, 16_000]), walk(alone, second, [14_000, 16_000]))


@pytest.mark.parametrize("samples", [200, 2000, FIELD - 1])
def test_too_short_a_chunk_is_refused_as_by_the_stock_model(folded: Any, samples: int) -> None:
    for model in (folded, StreamingTrunk(folded)):
        with pytest.raises(RuntimeError):
            model(noise(samples)[None, None])


def test_statistics_forget_at_their_pace() -> None:
    """After one more second at a rate of 1 - exp(-1 / 5 s), by hand, from a mean of 2 and a variance of 1."""
    known, found = torch.tensor([[2.0], [1.0]]), moments_of(torch.tensor([[0.0], [8.0]]))
    assert found.tolist() == [[4.0], [16.0]]
    rate = 0.18126925
    mean = 2 + rate * 2
    square = (1 - rate) * (1 + 2**2) + rate * (16 + 4**2)  # of the mixture's second moment
    near(blended(known, found, rate), torch.tensor([[mean], [square - mean**2]]), 1e-6)
    assert torch.equal(blended(known, found, 0.0), known)


def test_norms_follow_the_stream(folded: Any) -> None:
    model, wave = StreamingTrunk(folded, seconds=0.5), noise(40_000)
    walk(model, wave, [0])
    wave[LENGTH:] *= 3
    state, filters = model.streams[0].state, model.frame_trunk.stages[0]
    before, behind = state.moments[:2]
    walk(model, wave, [4000])
    new = wave[FIELD + 11 * HOP : FIELD + 26 * HOP, None]
    rate = 1 - torch.exp(torch.tensor(-15 * HOP / 8000))
    after = model.streams[0].state.moments
    near(after[0], blended(before, moments_of(new), rate), 1e-6)
    # as the waveform is louder or softer by now, so would have been what is known of the filters' outputs
    outputs = filters.layers(torch.cat([state.contexts[0], filters.normalised(new, after[0])]))
    by = ((before[1] + 1e-5) / (after[0][1] + 1e-5)).sqrt()
    assert abs(by - 1) > 0.05
    near(after[1], blended(behind * torch.stack([by, by**2]), moments_of(outputs), rate), 1e-6)


def test_frames_come_again_with_the_statistics_of_then(folded: Any) -> None:
    # in float64, as untrained weights hardly differ by statistics
    model, wave = StreamingTrunk(copy.deepcopy(folded).double(), seconds=0.5), noise(60_000).double()
    frames(model, wave[:40_000])  # 131 frames, of which 0.65 are 85: the next 37 go with those from 131 - 85 = 46 on
    found, trunk = frames(model, wave[10_000:50_000]), model.frame_trunk
    before, after = trunk.start(wave[:40_000])[0], trunk.start(wave, model.streams[0].state.moments)[0]
    # a frame's convolutions see up to 16 before it, which were normed when those were computed
    for first, last, expected in ((37, 46, before), (83, 131, before), (131 + 17, 168, after)):
        near(found[first - 37 : last - 37], expected[first:last], 1e-10)
    # the waveform's mean moves, too, of which the filters let next to nothing through
    apart = (found[63 - 37 : 83 - 37] - after[63:83]).norm(dim=1) / (before[63:83] - after[63:83]).norm(dim=1)
    assert apart.max() < 0.05


@pytest.mark.parametrize("make", [StreamingTrunk, partial(in_graphs, step=GraphStep)])
def test_frames_are_weighted_where_they_lie(folded: Any, make: Callable[[Any], StreamingTrunk]) -> None:
    """Weights of another rate, frames 0.4 of one late: those nearest by hand, pooled by pyannote."""
    model = make(folded)
    features = folded.stats_pool.scale.shape[0]
    random = torch.Generator().manual_seed(0)
    given, centre = torch.rand(10, features, generator=random), torch.rand(features, generator=random)
    weights = torch.rand(3, 20, generator=random)
    weights[1], weights[2] = 1e-8, torch.eye(20)[7] + 1e-8  # nobody; one frame only
    found = model.pooled(torch.cat([given, given.square()], 1), centre, weights, 0.4)
    chosen = weights[:, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]].clone()  # 2 (i + 0.4) = 2 i + 0.8, rounded down
    sequences = (given + centre) * folded.stats_pool.scale + folded.stats_pool.shift
    expected = StatsPool()(sequences.t()[None].expand(3, -1, -1), weights=chosen)
    near(found[:2], expected[:2])
    late = model.pooled(torch.cat([given, given.square()], 1), centre, weights, 0.5)
    chosen = weights[:, [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]]
    near(late, StatsPool()(sequences.t()[None].expand(3, -1, -1), weights=chosen), 1e-4)
    early = model.pooled(torch.cat([given, given.square()], 1), centre, weights, -0.1)
    chosen = weights[:, [0, 1, 3, 5, 7, 9, 11, 13, 15, 17]]  # before the first there is none
    near(early, StatsPool()(sequences.t()[None].expand(3, -1, -1), weights=chosen), 1e-4)


def test_the_graph_steps_as_the_trunk_does(folded: Any) -> None:
    trunk = FrameTrunk(folded)
    graph, wave = GraphStep(trunk), noise(60_000)
    _, state = trunk.start(wave[:LENGTH], delay=7)
    theirs: State = state
    at = FIELD + 11 * HOP
    for count in (15, 1, 40):
        samples = wave[at : at + count * HOP, None]
        found, state = graph(samples, state, 0.1)
        expected, theirs = trunk(samples, theirs, 0.1)
        near(found, expected)
        for mine, other in zip(state.contexts + state.moments, theirs.contexts + theirs.moments, strict=True):
            near(mine, other)
        at += count * HOP


@pytest.mark.parametrize("name", ["streaming-trunk", "distilled-streaming-trunk"])
def test_variants_stay_near_their_parents(name: str, stock: Any, clip: Recording) -> None:
    """Untrained weights hardly differ by statistics; what is mixed up or shifted differs all the same."""
    parent, model = variants.build(variants.get(name).parent or "", stock), variants.build(name, stock)
    wave = torch.from_numpy(clip.waveform())[0].float()
    weights = torch.rand(3, 293, generator=torch.Generator().manual_seed(0)) ** 6
    with torch.no_grad():
        for begin in (0, 8000, 16_000, 20_000):
            rows = wave[begin : begin + 80_000].expand(3, 1, -1)
            cosines = torch.cosine_similarity(model(rows, weights), parent(rows, weights))
            assert cosines.min() > (0.999999 if begin == 0 else 0.99)
    assert len(model.streams) == 1


def test_what_cannot_stream_says_so(stock: Any) -> None:
    with pytest.raises(variants.UnavailableError, match="needs a folded XVectorSincNet"):
        StreamingTrunk(variants.build("shared-trunk", stock))
    padded = nn.Conv1d(1, 1, 3, padding=1)
    with pytest.raises(variants.UnavailableError, match="without padding"):
        variants.streaming.trunk.FrameConv(padded)
    with pytest.raises(variants.UnavailableError, match="statistics of the chunk"):
        Stage(nn.InstanceNorm1d(1, track_running_stats=True), nn.Identity(), [])
