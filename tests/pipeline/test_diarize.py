"""A whole file: the same chunks and the same DER as DIART's own `Benchmark`, and shared work equals streaming."""

import importlib
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from diart.models import EmbeddingModel, SegmentationModel
from pyannote.core import Annotation, Segment, Timeline
from pyannote.metrics.diarization import DiarizationErrorRate

import variants
from bench.accuracy.errors import components
from bench.corpus import Recording
from bench.pipeline import diarize as diarizing
from bench.pipeline.chunks import stream_chunks
from bench.pipeline.diarize import Embedder, Output, Segmented, diarize, embed, segment
from bench.pipeline.oracle import OracleSegmentation
from bench.pipeline.staged import PipelineSettings, StagedPipeline, diart_config

SETTINGS = PipelineSettings(step=0.5)  # the paper's, in half as many chunks
FRAMES = 293


@pytest.fixture(scope="module")
def diart_inference() -> Any:
    """`diart.inference`, which imports `sounddevice`, which takes PortAudio; a file source needs neither."""
    try:
        importlib.import_module("sounddevice")
    except OSError:
        sys.modules["sounddevice"] = types.ModuleType("sounddevice")
    return importlib.import_module("diart.inference")


@pytest.fixture(scope="module")
def embedding(stock: Any) -> EmbeddingModel:
    return EmbeddingModel(lambda: stock)


def loaded(model: Any) -> SegmentationModel:
    wrapped = SegmentationModel(lambda: model)
    wrapped.load()
    return wrapped


class Ticking(torch.nn.Module):
    """An oracle that tells itself the time: chunk after chunk from the first."""

    def __init__(self, oracle: OracleSegmentation, starts: list[float]) -> None:
        super().__init__()
        self.oracle, self.left = oracle, starts

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        now, self.left = self.left[: len(waveforms)], self.left[len(waveforms) :]
        self.oracle.at(now)
        return self.oracle(waveforms)


@pytest.mark.parametrize(
    "settings",
    [
        PipelineSettings(),
        PipelineSettings(latency=0.25),
        PipelineSettings(latency=5.0),
        PipelineSettings(3.0, 0.5, 1.5),
        PipelineSettings(step=0.1),  # sums of which are not its multiples
        PipelineSettings(step=0.3),  # of which no number is a chunk
    ],
)
def test_chunks_are_those_of_diart(clip: Recording, settings: PipelineSettings, diart_inference: Any) -> None:
    from diart.operators import rearrange_audio_stream
    from diart.sources import FileAudioSource

    config = diart_config(settings, object(), object())
    source = FileAudioSource(clip.path, 16000, config.get_file_padding(clip.path), settings.step)
    expected: list[Any] = []
    source.stream.pipe(rearrange_audio_stream(settings.duration, settings.step, 16000)).subscribe(expected.append)
    source.read()

    found = stream_chunks(clip.waveform(), clip.path, config)
    assert found.padding == config.get_file_padding(clip.path)[0]
    assert len(found) == len(expected) > 10
    for i, (mine, theirs) in enumerate(zip(found, expected, strict=True)):
        assert mine.data.shape == (round(settings.duration * 16000), 1)
        np.testing.assert_array_equal(mine.data, theirs.data)
        assert (mine.extent.start, mine.extent.end) == (theirs.extent.start, theirs.extent.end)
        assert found.start(i) == theirs.extent.start - found.padding
    assert found.waveforms.untyped_storage().nbytes() < 4 * 16000 * (clip.duration + 11)  # all are views of it


@dataclass(frozen=True)
class Whole:
    """The clip with one kind of segmentation, through `segment`, `embed` and `diarize`."""

    segmentation: SegmentationModel
    file: Segmented
    output: Output

    def again(self) -> SegmentationModel:
        """The same segmentation for DIART, which tells no oracle the time."""
        if not isinstance(self.segmentation.model, OracleSegmentation):
            return self.segmentation
        starts = [self.file.chunks.start(i) for i in range(len(self.file.chunks))]
        return loaded(Ticking(self.segmentation.model, starts))


@pytest.fixture(scope="module", params=["model", "oracle"])
def whole(request: pytest.FixtureRequest, clip: Recording, segmenter: Any, embedding: EmbeddingModel) -> Whole:
    segmentation = loaded(segmenter if request.param == "model" else OracleSegmentation(5.0, FRAMES))
    file = segment(clip, SETTINGS, segmentation)
    return Whole(segmentation, file, diarize(file, embed(file, embedding), SETTINGS, segmentation, embedding))


@pytest.mark.slow
def test_der_is_that_of_diarts_benchmark(
    clip: Recording, whole: Whole, embedding: EmbeddingModel, tmp_path: Path, diart_inference: Any
) -> None:
    from diart import SpeakerDiarization

    found = components(clip.reference, whole.output.labels, whole.file.scored, 0.0, False)
    audio = tmp_path / "audio"
    audio.mkdir()
    (audio / clip.path.name).symlink_to(clip.path)
    benchmark = diart_inference.Benchmark(audio, clip.path.parent, tmp_path / "out", show_report=False)
    metric = DiarizationErrorRate(collar=0, skip_overlap=False)
    benchmark(SpeakerDiarization, diart_config(SETTINGS, whole.again(), embedding), metric)
    assert (found.total, found.missed, found.false_alarm, found.confusion) == tuple(
        metric[key] for key in ("total", "missed detection", "false alarm", "confusion")
    )
    assert 100 * found.error / found.total == 100 * abs(metric)
    assert found.total > 5
    assert len(whole.output.labels) > 5
    with (tmp_path / "mine.rttm").open("w") as mine:
        whole.output.labels.write_rttm(mine)
    assert (tmp_path / "mine.rttm").read_text() == (tmp_path / "out" / "clip.rttm").read_text()


@pytest.mark.slow
def test_shared_segmentation_and_batches_equal_streaming(whole: Whole, embedding: EmbeddingModel) -> None:
    staged = StagedPipeline(SETTINGS, whole.again(), embedding)
    staged.reset(-whole.file.chunks.padding)
    streamed = [staged(chunk)[0] for chunk in whole.file.chunks]
    assert streamed == whole.output.by_chunk
    assert sum(map(len, streamed)) > 10
    assert any(len(labels.labels()) > 1 for labels in streamed)

    expected = streamed[0].copy()
    for labels in streamed[1:]:
        expected.update(labels)
    assert whole.output.labels == expected.support(0.05)  # as DIART's PredictionAccumulator stitches


def test_a_file_shorter_than_a_chunk_is_padded_as_by_diart(
    clip: Recording, embedding: EmbeddingModel, tmp_path: Path, diart_inference: Any
) -> None:
    from diart import SpeakerDiarization

    (tmp_path / "audio").mkdir()
    path = tmp_path / "audio" / "short.wav"
    soundfile.write(path, clip.waveform()[0, 16_000:40_000], 16000, subtype="FLOAT")
    reference = Annotation("short")
    reference[Segment(0.1, 1.2)] = "ann"
    segmentation = loaded(OracleSegmentation(5.0, FRAMES))
    file = segment(Recording("short", path, reference, None, 1.5), SETTINGS, segmentation)
    assert file.chunks.padding == 5.0 - 1.5 - 2.5  # a chunk, less the audio, less its padding on the right
    output = diarize(file, embed(file, embedding), SETTINGS, segmentation, embedding)
    again = Whole(segmentation, file, output).again()
    benchmark = diart_inference.Benchmark(tmp_path / "audio", None, tmp_path / "out", show_report=False)
    (expected,) = benchmark(SpeakerDiarization, diart_config(SETTINGS, again, embedding))
    assert len(expected) > 0
    assert output.labels == expected


def test_segmentation_of_each_chunk_is_its_own(clip: Recording, segmenter: Any) -> None:
    file = segment(clip, SETTINGS, loaded(segmenter))
    assert file.segmentations.shape == (len(file.chunks), FRAMES, 3)
    assert file.waveforms.shape == (len(file.chunks), 80_000, 1)
    with torch.no_grad():
        alone = segmenter(torch.from_numpy(file.chunks[7].data).T[None])
    torch.testing.assert_close(file.segmentations[7], alone[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(file.waveforms[7].numpy(), file.chunks[7].data)


def test_oracle_segmentation_is_the_reference(clip: Recording) -> None:
    file = segment(clip, SETTINGS, loaded(OracleSegmentation(5.0, FRAMES)))
    assert clip.reference is not None
    i = len(file.chunks) // 2
    start = file.chunks.start(i)
    for frame in range(5, FRAMES, 37):
        instant = start + (frame + 0.5) * 5.0 / FRAMES
        speaking = {label for s, _, label in clip.reference.itertracks(yield_label=True) if s.start <= instant < s.end}
        assert int(file.segmentations[i, frame].sum()) == len(speaking)


def test_embeddings_are_the_models(clip: Recording, stock: Any, embedding: EmbeddingModel) -> None:
    """Those of DIART's block in batches, against the bare model with DIART's weights, one row at a time."""
    from diart.functional import overlapped_speech_penalty

    file = segment(clip, SETTINGS, loaded(OracleSegmentation(5.0, FRAMES)), seconds=6.0)
    found = embed(file, embedding)
    assert found.shape == (len(file.chunks), 3, 512)
    i = len(file.chunks) // 2
    weights = overlapped_speech_penalty(file.segmentations[i : i + 1], 3, 10)[0].T
    with torch.no_grad():
        for row, weight in zip(found[i], weights, strict=True):
            alone = stock(file.waveforms[i].T[None], weight[None])[0]
            torch.testing.assert_close(row, alone / alone.norm(), rtol=1e-3, atol=1e-5)


def test_only_the_first_seconds(clip: Recording) -> None:
    oracle = loaded(OracleSegmentation(5.0, FRAMES))
    whole = segment(clip, SETTINGS, oracle)
    file = segment(clip, SETTINGS, oracle, seconds=6.0)
    assert whole.scored is None
    assert file.scored == Timeline([Segment(0, 6.0)])
    assert len(file.chunks) < len(whole.chunks)
    inside = [i for i in range(len(file.chunks)) if file.chunks.start(i) + 5.0 <= 6.0]
    assert inside
    assert torch.equal(file.waveforms[inside], whole.waveforms[inside])
    beyond = round((6.0 - file.chunks.start(len(file.chunks) - 1)) * 16000)
    assert not file.waveforms[-1, beyond:].any()

    uem = Timeline([Segment(1, 3), Segment(5, 9)])
    marked = Recording(clip.name, clip.path, clip.reference, uem, clip.duration)
    assert segment(marked, SETTINGS, oracle, seconds=6.0).scored == Timeline([Segment(1, 3), Segment(5, 6)])
    assert segment(marked, SETTINGS, oracle).scored == uem


def test_once_per_chunk_is_as_row_by_row(clip: Recording, stock: Any) -> None:
    """Models that take all speakers' weights: in batches, the embeddings are those of DIART's block, chunk by chunk."""
    from diart.blocks import OverlapAwareSpeakerEmbedding

    file = segment(clip, SETTINGS, loaded(OracleSegmentation(5.0, FRAMES)), seconds=8.0)
    some = slice(2, 8)
    for name in ("baseline", "distilled", "distilled-pruned-unstructured"):
        embedding = variants.as_embedding_model(variants.build(name, stock))
        embedder = Embedder(file, embedding)
        found = embedder(some, file.segmentations[some])
        assert embedder.once
        block = OverlapAwareSpeakerEmbedding(embedding, device=torch.device("cpu"))
        for i, rows in enumerate(found, some.start):
            (alone,) = block(file.waveforms[i : i + 1], file.segmentations[i : i + 1])
            torch.testing.assert_close(rows, alone, rtol=0, atol=1e-5, equal_nan=True)


Answer = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # from embeddings and weights


class Rows(torch.nn.Module):
    """A stock model that answers the weights of all speakers at once as `answer` says."""

    def __init__(self, stock: Any, answer: Answer) -> None:
        super().__init__()
        self.stock, self.answer, self.calls = stock, answer, []

    def forward(self, waveforms: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        self.calls.append(weights.dim())
        found = self.stock(waveforms, weights)
        return self.answer(found, weights) if weights.dim() == 3 else found


def refuse(*_: torch.Tensor) -> torch.Tensor:
    raise TypeError("rows only")


@pytest.mark.parametrize(
    ("answer", "once"),
    [
        (lambda found, weights: found, True),
        (lambda found, weights: found + 1e-2 * found.std(), False),
        (lambda found, weights: found.flatten(0, 1), False),
        (lambda found, weights: found.index_fill(1, torch.tensor(2), torch.nan), False),
        (lambda found, weights: found.masked_fill(weights.amax(2, keepdim=True) < 1e-6, torch.nan), False),
        (refuse, False),
    ],
    ids=["own", "near", "shape", "lost", "silent", "raises"],
)
def test_only_a_model_that_agrees_is_called_once_per_chunk(
    clip: Recording, stock: Any, answer: Answer, once: bool
) -> None:
    file = segment(clip, SETTINGS, loaded(OracleSegmentation(5.0, FRAMES)), seconds=5.0)
    model, part = Rows(stock, answer), slice(0, 6)
    found = Embedder(file, EmbeddingModel(lambda: model))(part, file.segmentations[part])
    assert model.calls == [2, 3, *([3] if once else [2]) * 2]  # both ways on drawn chunks, then four and two chunks
    expected = Embedder(file, EmbeddingModel(lambda: stock))(part, file.segmentations[part])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("name", ["shared-trunk", "cached-sinc"])
def test_what_keeps_or_shares_hears_nothing_but_the_file(clip: Recording, stock: Any, name: str) -> None:
    file = segment(clip, SETTINGS, loaded(OracleSegmentation(5.0, FRAMES)), seconds=8.0)
    model = variants.build(name, stock)
    heard: list[torch.Tensor] = []
    model.register_forward_hook(lambda _, given, __: heard.extend(given[0][::3]))
    embedder = Embedder(file, variants.as_embedding_model(model))
    for part in (slice(0, 6), slice(6, 9)):
        embedder(part, file.segmentations[part])
    assert torch.equal(torch.stack(heard), file.waveforms[:9].transpose(1, 2))


def test_stitching_on_the_way_leaves_the_labels(
    clip: Recording, segmenter: Any, embedding: EmbeddingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmentation = loaded(segmenter)
    file = segment(clip, SETTINGS, segmentation)
    embeddings = embed(file, embedding)
    found = []
    for stitched in (1, 3, 10**6):
        monkeypatch.setattr(diarizing, "STITCHED", stitched)
        labels = diarize(file, embeddings, SETTINGS, segmentation, embedding).labels
        found.append([(turn, speaker) for turn, _, speaker in labels.itertracks(yield_label=True)])
    assert found[0] == found[1] == found[2]
    assert len(found[0]) > 5
