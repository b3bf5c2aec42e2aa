"""The pipeline's settings, its ledger of stages, and that a reset forgets."""

import time
from typing import Any

import numpy as np
import pytest
import torch
from diart.models import EmbeddingModel, SegmentationModel
from pyannote.core import SlidingWindow, SlidingWindowFeature

from bench.pipeline.staged import PRESETS, PipelineSettings, StagedPipeline, diart_config
from variants import UserError

STEP = 0.5


class Speaker(torch.nn.Module):
    """Segmentation that hears one speaker in the whole chunk, slowly."""

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        time.sleep(0.03)
        return torch.tensor([1.0, 0.0, 0.0]).expand(len(waveforms), 50, 3)


class Loudness(torch.nn.Module):
    """Embedding whose direction is that of the mean sample: two speakers are as opposite as can be."""

    def forward(self, waveforms: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        time.sleep(0.06)
        mean = waveforms.mean(dim=(1, 2))
        return torch.stack([torch.sign(mean), 1e-3 * torch.ones_like(mean)], dim=1)


def pipeline(**settings: float) -> StagedPipeline:
    chosen = PipelineSettings(step=STEP, latency=STEP, **settings)
    return StagedPipeline(chosen, SegmentationModel(Speaker), EmbeddingModel(Loudness))


def chunk(index: int, value: float) -> SlidingWindowFeature:
    resolution = SlidingWindow(start=index * STEP, duration=1 / 16000, step=1 / 16000)
    return SlidingWindowFeature(np.full((80_000, 1), value, np.float32), resolution)


def test_stages_sum_to_the_whole() -> None:
    staged = pipeline()
    for i in range(4):
        begin = time.perf_counter()
        _, stages = staged(chunk(i, 1.0))
        outside = time.perf_counter() - begin
        assert list(stages) == ["segmentation", "embedding", "rest"]
        assert 0.03 <= stages["segmentation"] <= outside
        assert 0.06 <= stages["embedding"] <= outside
        assert stages["rest"] > 0
        assert sum(stages.values()) <= outside
    assert sum(stages.values()) == pytest.approx(outside, abs=0.02)


def test_labels_are_the_stock_pipelines() -> None:
    from diart import SpeakerDiarization

    settings = PipelineSettings(step=STEP, latency=STEP)
    stock = SpeakerDiarization(diart_config(settings, SegmentationModel(Speaker), EmbeddingModel(Loudness)))
    staged = pipeline()
    for i, value in enumerate([1.0, 1.0, -1.0, 1.0]):
        ((expected, _),) = stock([chunk(i, value)])
        labels, _ = staged(chunk(i, value))
        assert labels == expected
        assert len(labels) == 1


def labels(annotation: Any) -> list[str]:
    return annotation.labels()


def test_speakers_are_remembered_until_a_reset() -> None:
    staged = pipeline()
    assert [labels(staged(chunk(i, value))[0]) for i, value in enumerate([1.0, -1.0, 1.0])] == [
        ["speaker0"],
        ["speaker1"],
        ["speaker0"],
    ]
    staged.reset()
    assert labels(staged(chunk(0, -1.0))[0]) == ["speaker0"]  # it was speaker1


def test_reset_forgets_buffers_and_shifts_the_output() -> None:
    staged, fresh = pipeline(), pipeline()
    for i in range(3):
        staged(chunk(i, 1.0))
    staged.reset(-2.75)
    assert staged.pipeline.chunk_buffer == staged.pipeline.pred_buffer == []
    shifted, plain = staged(chunk(0, 1.0))[0], fresh(chunk(0, 1.0))[0]
    (found,), (expected,) = shifted.itersegments(), plain.itersegments()
    assert (found.start, found.end) == pytest.approx((expected.start - 2.75, expected.end - 2.75))
    staged.reset()
    assert staged(chunk(0, 1.0))[0] == plain


def test_the_papers_settings_are_the_default() -> None:
    settings = PipelineSettings()
    assert (settings.duration, settings.step, settings.latency) == (5.0, 0.25, 3.0)
    assert (settings.tau, settings.rho, settings.delta) == (0.555, 0.422, 1.517) == PRESETS["dihard3"]


def test_settings_reach_diart() -> None:
    config = diart_config(PipelineSettings(4.0, 0.5, 2.0, 0.1, 0.2, 0.3), SegmentationModel(Speaker), object())
    assert (config.duration, config.step, config.latency) == (4.0, 0.5, 2.0)
    assert (config.tau_active, config.rho_update, config.delta_new) == (0.1, 0.2, 0.3)
    assert config.device.type == "cpu"
    assert config.sample_rate == 16000


@pytest.mark.parametrize(("duration", "step", "latency"), [(5, 0, 3), (5, -1, 3), (5, 1, 0.5), (5, 0.25, 5.5)])
def test_settings_that_make_no_sense(duration: float, step: float, latency: float) -> None:
    with pytest.raises(UserError, match="must be 0 < step <= latency <= duration"):
        PipelineSettings(duration, step, latency)


@pytest.mark.parametrize(("duration", "step", "latency"), [(5, 5, 5), (5, 0.25, 0.25), (5, 0.25, 5)])
def test_settings_at_their_limits(duration: float, step: float, latency: float) -> None:
    assert PipelineSettings(duration, step, latency).latency == latency
