"""The DIART pipeline: its configuration, DIART's recommended presets, and a stage ledger around its blocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from variants.errors import UserError

if TYPE_CHECKING:
    from diart import SpeakerDiarization, SpeakerDiarizationConfig
    from diart.models import EmbeddingModel, SegmentationModel
    from pyannote.core import Annotation, SlidingWindowFeature

# tau_active, rho_update, delta_new as DIART's README recommends them by corpus; the paper used those for DIHARD III.
# `python -m bench tune --corpus embedded-dev` found "bundled" for the bundled models, with `--segmentation
# pyannote/segmentation` "bundled-pyannote" (DER there from 26.76, dihard3's, to 17.02 %), and with `--embedding
# campplus` besides "campplus-pyannote" (12.35 %; from 0.5, 0.3, 0.75 on, 200 trials).
PRESETS = {
    "bundled": (0.507, 0.007, 0.867),
    "bundled-pyannote": (0.650, 0.463, 0.647),
    "bundled-pyannote-3.0": (0.753, 0.422, 0.610),
    "campplus-pyannote": (0.655, 0.352, 0.695),
    "dihard3": (0.555, 0.422, 1.517),
    "ami": (0.507, 0.006, 1.057),
    "voxconverse": (0.576, 0.915, 0.648),
}


LONGEST = 3600.0  # seconds of a chunk, which is held as a whole


@dataclass(frozen=True)
class PipelineSettings:
    """The paper's configuration: seconds for duration, step and latency; tau, rho, delta are DIART's thresholds."""

    duration: float = 5.0
    step: float = 0.25
    latency: float = 3.0
    tau: float = PRESETS["dihard3"][0]
    rho: float = PRESETS["dihard3"][1]
    delta: float = PRESETS["dihard3"][2]

    def __post_init__(self) -> None:
        if not 0 < self.step <= self.latency <= self.duration <= LONGEST:
            raise UserError(
                f"step {self.step:g} s, latency {self.latency:g} s, duration {self.duration:g} s: "
                f"must be 0 < step <= latency <= duration <= {LONGEST:g}"
            )


def diart_config(
    settings: PipelineSettings, segmentation: SegmentationModel, embedding: EmbeddingModel, device: str = "cpu"
) -> SpeakerDiarizationConfig:
    """DIART's own configuration object for these settings."""
    import torch
    from diart import SpeakerDiarizationConfig

    return SpeakerDiarizationConfig(
        segmentation=segmentation,
        embedding=embedding,
        duration=settings.duration,
        step=settings.step,
        latency=settings.latency,
        tau_active=settings.tau,
        rho_update=settings.rho,
        delta_new=settings.delta,
        device=torch.device(device),
    )


def diart_pipeline(
    settings: PipelineSettings,
    segmentation: SegmentationModel,
    embedding: EmbeddingModel,
    lean: bool = False,
    device: str = "cpu",
) -> SpeakerDiarization:
    """A stock `diart.SpeakerDiarization`, or one with the blocks of `variants.exact.blocks`."""
    from diart import SpeakerDiarization

    from variants.exact.blocks import LeanDiarization

    made = LeanDiarization if lean else SpeakerDiarization
    return made(diart_config(settings, segmentation, embedding, device))


class StagedPipeline:
    """A DIART pipeline with a stop-watch around its segmentation and its embedding block."""

    def __init__(
        self,
        settings: PipelineSettings,
        segmentation: SegmentationModel,
        embedding: EmbeddingModel,
        lean: bool = False,
        device: str = "cpu",
    ) -> None:
        self.pipeline = diart_pipeline(settings, segmentation, embedding, lean, device)
        self._spent: dict[str, float] = {}
        self.pipeline.segmentation = self._timed("segmentation", self.pipeline.segmentation)
        self.pipeline.embedding = self._timed("embedding", self.pipeline.embedding)

    def _timed(self, stage: str, block: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            start = time.perf_counter()
            output = block(*args)
            self._spent[stage] = time.perf_counter() - start
            return output

        return call

    def reset(self, shift: float = 0.0) -> None:
        """Forget all speakers and buffers; `shift` seconds are added to the output's times."""
        self.pipeline.reset()
        self.pipeline.set_timestamp_shift(shift)

    def __call__(self, chunk: SlidingWindowFeature) -> tuple[Annotation, dict[str, float]]:
        """One chunk in, its labels out, with the seconds of each stage; they sum to the whole."""
        start = time.perf_counter()
        ((labels, _),) = self.pipeline([chunk])
        whole = time.perf_counter() - start
        segmentation, embedding = self._spent["segmentation"], self._spent["embedding"]
        return labels, {
            "segmentation": segmentation,
            "embedding": embedding,
            "rest": whole - segmentation - embedding,
        }
