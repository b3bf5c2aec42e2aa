"""A variant in a live DIART pipeline, its segmentation variant and blocks included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .loading import load
from .registry import as_embedding_model, as_segmentation_model, build, get

if TYPE_CHECKING:
    from diart import SpeakerDiarization


def pipeline(
    name: str, embedding: str = "bundled", segmentation: str = "bundled", **settings: object
) -> SpeakerDiarization:
    """A `diart.SpeakerDiarization` that runs variant `name`.

    embedding, segmentation: where the two models come from, as in `variants.loading.load`. settings: those of
    `diart.SpeakerDiarizationConfig` (seconds; the thresholds above suit the bundled models). One stream at a time:
    neither DIART's pipeline nor a cached convolution is thread-safe (`exact.memory.remember`: several pipelines of one
    thread may share models). Raises UserError.
    """
    import torch
    from diart import SpeakerDiarization, SpeakerDiarizationConfig

    from .exact.blocks import LeanDiarization

    other = get(name, "embedding").segmentation
    segmenter = build(other or "segmentation", load("segmentation", segmentation))
    config = SpeakerDiarizationConfig(
        segmentation=as_segmentation_model(segmenter),
        embedding=as_embedding_model(build(name, load("embedding", embedding))),
        device=torch.device("cpu"),
        **settings,
    )
    return SpeakerDiarization(config) if other is None else LeanDiarization(config)
