"""What each variant takes and starts in a process of its own: memory, calls per chunk, sessions, threads."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from pyannote.core import SlidingWindow, SlidingWindowFeature

import variants
from bench.latency.census import Calls, Census
from bench.latency.memory import Count, Footprint, Run, footprint
from bench.latency.subjects import ModelOnly, Pipeline
from bench.pipeline.staged import PipelineSettings

from .models import Models

RATE = 16_000
ROWS, FRAMES = 3, 293  # local speakers and frames per chunk of pyannote/segmentation, to run a model without it


def footprint_of(name: str, models: Models, settings: PipelineSettings) -> Footprint:
    """Of the embedding model: peak memory. Of the pipeline: calls and runs of a chunk, sessions, threads."""
    with torch.no_grad():
        return footprint(functools.partial(_made, name, models, settings))


def _made(name: str, models: Models, settings: PipelineSettings) -> tuple[Run, Count]:
    census = Census()
    embedding = variants.as_embedding_model(models.build(name)).eval()
    waveform, weights = torch.zeros(ROWS, 1, round(settings.duration * RATE)), torch.ones(ROWS, FRAMES)

    def count() -> Mapping[str, int]:
        calls = Calls(embedding.model)
        embedding.model = calls
        step, kept = _chunk(embedding, name, models, settings)
        step(0)
        before = calls.count, census.runs
        step(1)  # in the first chunk there is nothing yet that could be reused
        found = {"embedding_calls": calls.count - before[0], "session_runs": census.runs - before[1], **census()}
        del kept  # until now its sessions and threads were there
        return found

    return lambda: embedding(waveform, weights), count


def _chunk(embedding: Any, name: str, models: Models, settings: PipelineSettings) -> tuple[Any, Any]:
    """A call that takes the chunk of that number through the variant's pipeline, and what must live meanwhile."""
    samples = round(settings.duration * RATE)
    noise = np.random.default_rng(0).standard_normal((samples + round(settings.step * RATE), 1)).astype(np.float32)
    if models.oracle:  # which is no model that noise could be put into
        alone, part = ModelOnly(embedding), torch.from_numpy(noise[None, :samples])
        return lambda number: alone.block(part, torch.ones(1, FRAMES, ROWS)), alone
    other = models.other(name)
    segmentation = models.segmentation if other is None else models.build_segmentation(other)
    pipeline = Pipeline(embedding, segmentation, settings, variants.get(name).segmentation is not None)

    def step(number: int) -> None:
        begin = round(number * settings.step * RATE)
        window = SlidingWindow(start=begin / RATE, duration=1 / RATE, step=1 / RATE)
        pipeline.staged(SlidingWindowFeature(noise[begin : begin + samples], window))

    return step, pipeline
