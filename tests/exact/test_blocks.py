"""DIART's lean blocks: what the stock ones give, bit for bit, whatever the settings."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from diart import SpeakerDiarization, SpeakerDiarizationConfig
from diart.blocks import OnlineSpeakerClustering, OverlapAwareSpeakerEmbedding
from diart.blocks.aggregation import FirstOnlyStrategy, HammingWeightedAverageStrategy
from diart.blocks.utils import Binarize
from diart.models import EmbeddingModel, SegmentationModel
from hypothesis import given, settings
from hypothesis import strategies as st
from pyannote.core import Annotation, Segment, SlidingWindow, SlidingWindowFeature

import variants
from bench.corpus import Recording
from bench.pipeline.chunks import stream_chunks
from bench.pipeline.diarize import diarize, embed, segment
from bench.pipeline.staged import PipelineSettings
from variants.exact.blocks import (
    LeanBinarize,
    LeanClustering,
    LeanDiarization,
    LeanEmbedding,
    LeanFirst,
    LeanHamming,
)

RATE = 1000  # of the audio of pipelines whose models do not listen


def turns(rng: np.random.Generator, frames: int, speakers: int) -> torch.Tensor:
    """Scores (frames, speakers) of whoever talks at times, in between as a segmentation has them."""
    on = np.repeat(rng.random((-(-frames // 10), speakers)) < 0.4, 10, axis=0)[:frames]
    return torch.from_numpy(np.where(on, 0.6, 0.0) + 0.4 * rng.random((frames, speakers))).float()


def voices(rng: np.random.Generator, speakers: int, spread: float) -> torch.Tensor:
    """Embeddings (speakers, 8), of unit norm, of some of five people; now and then one is NaN, or all but another."""
    people = np.eye(8)[rng.permutation(5)[:speakers] if speakers <= 5 else rng.integers(0, 5, speakers)]
    found = torch.from_numpy(people + spread * rng.standard_normal((speakers, 8))).float()
    found = found / found.norm(dim=1, keepdim=True)
    if rng.random() < 0.1:
        found[rng.integers(speakers)] = torch.nan
    if rng.random() < 0.3:
        found[rng.integers(speakers)] = found[0] + 1e-7 * torch.from_numpy(rng.integers(-1, 2, 8))
    return found


def same_feature(found: SlidingWindowFeature, expected: SlidingWindowFeature) -> None:
    """All of it, the type of its numbers included."""
    assert found.data.dtype == expected.data.dtype and np.array_equal(found.data, expected.data, equal_nan=True)
    for name in ("start", "duration", "step"):
        assert getattr(found.sliding_window, name) == getattr(expected.sliding_window, name)


def same_labels(found: Annotation, expected: Annotation) -> None:
    assert [*found.itertracks(yield_label=True)] == [*expected.itertracks(yield_label=True)]
    assert (found.uri, found.modality) == (expected.uri, expected.modality)


def same_speakers(found: OnlineSpeakerClustering, expected: OnlineSpeakerClustering) -> None:
    assert found.active_centers == expected.active_centers
    assert (found.centers is None) == (expected.centers is None)
    assert found.centers is None or np.array_equal(found.centers, expected.centers, equal_nan=True)


class Replayed(torch.nn.Module):
    """A model that answers what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = torch.empty(0)

    def forward(self, *_: torch.Tensor) -> torch.Tensor:
        return self.answer


class Weighed(torch.nn.Module):
    """An embedding of the waveform's samples under weights, which tells one bit of either."""

    def forward(self, waveforms: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        frames = waveforms[:, 0].unflatten(1, (weights.shape[1], -1))
        moments = torch.stack([frames.mean(2), frames.abs().amax(2), frames.std(2)], dim=2)
        return (weights[..., None] * moments).sum(dim=1)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), frames=st.integers(1, 30), start=st.floats(0, 100))
def test_binarize_equals_diarts(seed: int, frames: int, start: float) -> None:
    scores = np.random.default_rng(seed).random((frames, 4))
    feature = SlidingWindowFeature(scores, SlidingWindow(start=start, duration=0.017, step=0.017))
    same_labels(LeanBinarize(0.5)(feature), Binarize(0.5)(feature))
    same_labels(LeanBinarize(0.5, "name")(feature), Binarize(0.5, "name")(feature))


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**31), frames=st.integers(10, 60), buffers=st.integers(1, 6), offset=st.floats(-1, 6))
def test_aggregation_equals_diarts(seed: int, frames: int, buffers: int, offset: float) -> None:
    random, step = np.random.default_rng(seed), 5 / frames
    given = [
        SlidingWindowFeature(random.random((frames, 3)), SlidingWindow(start=i * 0.5, duration=step, step=step))
        for i in range(buffers)
    ]
    focus = Segment(offset, offset + 0.5)
    same_feature(LeanHamming()(given, focus), HammingWeightedAverageStrategy("loose")(given, focus))
    if offset <= 4.9:  # of audio that is not there DIART makes doubles
        same_feature(LeanFirst()(given, focus), FirstOnlyStrategy("center")(given, focus))


def test_audio_that_is_handed_out_does_not_hold_the_chunk() -> None:
    window = SlidingWindow(start=0.0, duration=1 / RATE, step=1 / RATE)
    chunk = SlidingWindowFeature(np.zeros((5 * RATE, 1), np.float32), window)
    found = LeanFirst()([chunk], Segment(2, 2.5)).data
    assert found.shape == (500, 1) and found.base is None


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    speakers=st.integers(1, 6),
    most=st.integers(1, 8),
    tau=st.floats(0.3, 1),
    rho=st.floats(0, 0.5),
    delta=st.floats(0, 1.5),
    spread=st.sampled_from([0.0, 0.1, 0.3, 0.6]),
    blocked=st.booleans(),
)
def test_clustering_equals_diarts(
    seed: int, speakers: int, most: int, tau: float, rho: float, delta: float, spread: float, blocked: bool
) -> None:
    rng = np.random.default_rng(seed)
    stock, lean = (made(tau, rho, delta, "cosine", most) for made in (OnlineSpeakerClustering, LeanClustering))
    window = SlidingWindow(start=0.0, duration=0.02, step=0.02)
    for i in range(15):
        scores = SlidingWindowFeature(turns(rng, 50, speakers).numpy(), window)
        embeddings = voices(rng, speakers, spread)
        same_feature(lean(scores, embeddings), stock(scores, embeddings))
        same_speakers(lean, stock)
        if blocked and i == 7:
            stock.blocked_centers.add(0), lean.blocked_centers.add(0)


@pytest.mark.parametrize("seed", range(8))
def test_of_nearly_equal_distances_the_assignment_is_diarts(seed: int) -> None:
    """Beside costs of 1e10 the last bits of a distance are lost: what is left of them decides."""
    stock, lean = (made(0.5, 0.1, 0.9, "cosine", 8) for made in (OnlineSpeakerClustering, LeanClustering))
    for clustering in (stock, lean):
        clustering.init_centers(5)
        clustering.centers[:4], clustering.active_centers = np.eye(4, 5), {0, 1, 2, 3}
    embeddings = torch.full((4, 5), 0.6)
    embeddings[:, :4] = 0.4 + 2.0**-25 * torch.randint(4, (4, 4), generator=torch.Generator().manual_seed(seed))
    window = SlidingWindow(start=0.0, duration=0.02, step=0.02)
    scores = SlidingWindowFeature(np.float32([[1, 0, 1, 1]] * 5), window)
    same_feature(lean(scores, embeddings), stock(scores, embeddings))


def test_known_speakers_need_none_of_diarts_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does silence; a new voice, or one without an embedding, does."""
    asked, identify = [False], OnlineSpeakerClustering.identify

    def counted(self: OnlineSpeakerClustering, *given: Any) -> Any:
        asked[-1] = True
        return identify(self, *given)

    monkeypatch.setattr(OnlineSpeakerClustering, "identify", counted)
    clustering = LeanClustering(0.5, 0.1, 0.5)
    window = SlidingWindow(start=0.0, duration=0.02, step=0.02)
    people = torch.eye(4)
    talks = [[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    who = [[0, 1, 3], [3, 0, 1], [3, 3, 3], [2, 0, 0], [2, 0, 0], [0, 0, 3]]
    for scores, voice in zip(talks, who, strict=True):
        embeddings = people[voice]
        embeddings[embeddings[:, 3] > 0] = torch.nan
        clustering(SlidingWindowFeature(np.float32([scores] * 10), window), embeddings)
        asked.append(False)
    assert asked[:-1] == [True, False, False, True, False, True]
    assert clustering.centers is not None
    assert np.array_equal(clustering.centers[:4], np.diag([2.0, 2.0, 2.0, 0.0])[:, :4])


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize(("batch", "speakers"), [(1, 3), (3, 2)])
def test_embeddings_equal_diarts(batch: int, speakers: int, normalise: bool) -> None:
    rng = np.random.default_rng(0)
    waveform = torch.from_numpy(rng.standard_normal((batch, 2000, 1))).float()
    segmentation = torch.stack([turns(rng, 50, speakers) for _ in range(batch)])
    segmentation[0, :, 0] = 0.0
    given: list[tuple[torch.Tensor, torch.Tensor]] = []

    class Listening(Weighed):
        def forward(self, waveforms: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
            given.append((waveforms, weights))
            return super().forward(waveforms, weights)

    model = EmbeddingModel(Listening)
    stock, lean = (
        made(model, 2.5, 8.0, normalize_weights=normalise, device=torch.device("cpu"))
        for made in (OverlapAwareSpeakerEmbedding, LeanEmbedding)
    )
    expected, found = stock(waveform, segmentation), lean(waveform, segmentation)
    assert torch.equal(found, expected) and found.shape == (batch, speakers, 3)
    (rows, weights), (views, others) = given
    assert torch.equal(views, rows) and torch.equal(others, weights) and weights.stride() == others.stride()
    assert batch > 1 or views.data_ptr() == waveform.data_ptr()


def pipelines(config: Callable[[], SpeakerDiarizationConfig]) -> tuple[SpeakerDiarization, SpeakerDiarization]:
    """The stock one and the lean one."""
    return SpeakerDiarization(config()), LeanDiarization(config())


def same_answers(stock: SpeakerDiarization, lean: SpeakerDiarization, chunks: list[SlidingWindowFeature]) -> int:
    """How many turns both find in chunks, which they take one by one, or several at a time."""
    answers = zip(lean(chunks), stock(chunks), strict=True)
    for (labels, audio), (expected, played) in answers:
        same_labels(labels, expected)
        same_feature(audio, played)
    same_speakers(lean.clustering, stock.clustering)
    return len(labels)


def steps(seed: int, duration: float, step: float, count: int) -> Iterator[SlidingWindowFeature]:
    """Chunks of noise."""
    samples = round(RATE * duration)
    wave = np.random.default_rng(seed).standard_normal((samples + count * round(RATE * step), 1)).astype(np.float32)
    for i in range(count):
        first, window = i * round(RATE * step), SlidingWindow(start=i * step, duration=1 / RATE, step=1 / RATE)
        yield SlidingWindowFeature(wave[first : first + samples], window)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    seconds=st.tuples(st.sampled_from([1.0, 2.0, 5.0]), st.sampled_from([0.1, 0.25, 0.3, 0.5, 1.0])),
    latency=st.one_of(st.sampled_from(["min", "max", None]), st.floats(0, 1)),
    frames=st.sampled_from([17, 50, 293]),
    most=st.integers(2, 20),
    thresholds=st.tuples(st.floats(0.3, 0.9), st.floats(0, 0.5), st.floats(0.1, 1.5)),
    shift=st.sampled_from([0.0, -1.3]),
)
def test_pipelines_label_as_diarts_whatever_the_settings(
    seed: int,
    seconds: tuple[float, float],
    latency: Any,
    frames: int,
    most: int,
    thresholds: tuple[float, float, float],
    shift: float,
) -> None:
    (duration, step), (tau, rho, delta), rng = seconds, thresholds, np.random.default_rng(seed)
    if isinstance(latency, float):
        latency = step + latency * (duration - step)
    scores, embeddings = Replayed(), Replayed()
    stock, lean = pipelines(
        lambda: SpeakerDiarizationConfig(
            SegmentationModel(lambda: scores),
            EmbeddingModel(lambda: embeddings),
            duration,
            step,
            latency,
            tau,
            rho,
            delta,
            max_speakers=most,
            device=torch.device("cpu"),
            sample_rate=RATE,
        )
    )
    for run in range(2):  # the second after a reset
        for pipeline in (stock, lean):
            pipeline.reset()
            pipeline.set_timestamp_shift(shift)
        for chunk in steps(seed, duration, step, 12 - 6 * run):
            scores.answer, embeddings.answer = turns(rng, frames, 3)[None], voices(rng, 3, 0.2)
            same_answers(stock, lean, [chunk])
        blocks = lean.clustering, lean.audio_aggregation.aggregate, lean.pred_aggregation.aggregate, lean.binarize
        assert [*map(type, blocks)] == [LeanClustering, LeanFirst, LeanHamming, LeanBinarize]


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize(
    ("step", "latency", "most", "batch"), [(0.5, 3.0, 20, 1), (0.25, "min", 3, 1), (0.7, "max", 2, 1), (0.5, 1.0, 4, 3)]
)
def test_real_audio_is_labelled_as_by_diart(
    step: float, latency: Any, most: int, batch: int, normalise: bool, segmenter: Any, clip: Recording
) -> None:
    config = lambda: SpeakerDiarizationConfig(  # noqa: E731
        variants.as_segmentation_model(segmenter),
        EmbeddingModel(lambda: Listener()),
        5.0,
        step,
        latency,
        0.5,
        0.05,
        0.02,
        2.5,
        8.0,
        max_speakers=most,
        normalize_embedding_weights=normalise,
        device=torch.device("cpu"),
    )
    stock, lean = pipelines(config)
    chunks = [*stream_chunks(clip.waveform(), clip.path, stock.config)]
    found = [same_answers(stock, lean, chunks[i : i + batch]) for i in range(0, len(chunks), batch)]
    assert sum(found) >= len(found) > 2 and len(lean.clustering.active_centers) >= 2


class Listener(Weighed):
    """The same of 293 frames, less the samples that do not fill one."""

    def forward(self, waveforms: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return super().forward(waveforms[..., : waveforms.shape[-1] // weights.shape[1] * weights.shape[1]], weights)


def test_lean_blocks_and_segmentation_leave_every_label(stock: Any, segmenter: Any, clip: Recording) -> None:
    settings = PipelineSettings(5.0, 0.5, 3.0, 0.5, 0.1, 0.6)
    models: Callable[[str], Any] = lambda name: variants.as_segmentation_model(variants.build(name, segmenter))  # noqa: E731
    embedding = variants.as_embedding_model(variants.build("shared-folded", stock))
    plain, other = models("segmentation"), models("segmentation-cached-onnx")
    mine, theirs = segment(clip, settings, other), segment(clip, settings, plain)
    embeddings = embed(theirs, embedding)
    expected = diarize(theirs, embeddings, settings, plain, embedding)
    lean = diarize(theirs, embeddings, settings, plain, embedding, lean=True)
    whole = diarize(mine, embed(mine, embedding), settings, other, embedding, lean=True)
    assert sum(len(labels) for labels in expected.by_chunk) > 20
    tracks = [[list(labels.itertracks(yield_label=True)) for labels in output.by_chunk] for output in (expected, lean)]
    assert tracks[0] == tracks[1]
    assert expected.by_chunk == whole.by_chunk
