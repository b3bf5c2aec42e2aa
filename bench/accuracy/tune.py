"""Tune tau_active, rho_update and delta_new on recorded model outputs: one trial takes seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.pipeline.diarize import Segmented, diarize, embed
from bench.pipeline.staged import PipelineSettings

from .errors import Components, components, rate

if TYPE_CHECKING:
    from diart.models import EmbeddingModel, SegmentationModel


def recorded_objective(
    files: Sequence[Segmented], segmentation: SegmentationModel, embedding: EmbeddingModel, settings: PipelineSettings
) -> Callable[[PipelineSettings], float]:
    """A function from settings to DER over `files`, in points; the models run once, here.

    Neither model's output depends on the three thresholds, so only clustering and aggregation are repeated.
    """
    embeddings = [embed(file, embedding) for file in files]

    def objective(trial: PipelineSettings) -> float:
        scores: list[Components] = []
        for file, rows in zip(files, embeddings, strict=True):
            labels = diarize(file, rows, trial, segmentation, embedding).labels
            scores.append(components(file.recording.reference, labels, file.scored, 0.0, False))
        return rate(scores)

    return objective


def tune(
    objective: Callable[[PipelineSettings], float], start: PipelineSettings, trials: int, seed: int
) -> tuple[PipelineSettings, float]:
    """The best of `trials` settings and its DER, by Optuna's TPE sampler over DIART's own ranges, from `start` on."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def run(trial: optuna.Trial) -> float:
        tau, rho = trial.suggest_float("tau", 0.0, 1.0), trial.suggest_float("rho", 0.0, 1.0)
        return objective(replace(start, tau=tau, rho=rho, delta=trial.suggest_float("delta", 0.0, 2.0)))

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial({"tau": start.tau, "rho": start.rho, "delta": start.delta})
    study.optimize(run, n_trials=trials, show_progress_bar=True)
    return replace(start, **study.best_params), float(study.best_value)
