"""Figures of merit of trained models: equal error rate of embeddings, local error rate of segmentations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import permutations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from variants.arrays import Bools, Floats, Integers
from variants.speech.data import SAMPLE_RATE, Conversation, DataError, Speech
from variants.speech.simulate import FRAMES_PER_SECOND

from .embedding import augment
from .segmentation import CHUNK, activity, targets_of


def equal_error_rate(scores: Floats, same: Bools) -> float:
    """Rate at which as many different pairs score above the threshold as same pairs score below it.

    scores (trials,), higher for more alike; same (trials,) bool.
    """
    if same.all() or not same.any():
        raise DataError("an equal error rate needs both pairs of the same and of different speakers")
    order = np.argsort(scores, kind="stable")
    missed = np.cumsum(same[order]) / same.sum()
    accepted = 1 - np.cumsum(~same[order]) / (~same).sum()
    at = int(np.argmin(np.abs(missed - accepted)))
    return float((missed[at] + accepted[at]) / 2)


def segments(speech: Speech, seconds: float) -> list[tuple[str, int, Floats]]:
    """(speaker, utterance, samples) of every whole non-overlapping stretch of `seconds`."""
    length = int(seconds * SAMPLE_RATE)
    found = []
    for speaker in sorted(speech):
        for utterance, clip in enumerate(speech[speaker]):
            waveform = clip.read()
            for start in range(0, len(waveform) - length + 1, length):
                found.append((speaker, utterance, waveform[start : start + length]))
    return found


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


@torch.inference_mode()
def embed(network: nn.Module, waveforms: Iterable[Floats], batch: int = 16) -> Floats:
    """Unit-length embeddings (count, dimension) of equally long waveforms."""
    stacked = torch.from_numpy(np.stack(list(waveforms)).astype(np.float32))[:, None]
    embeddings = torch.cat([network(part.to(_device(network))) for part in stacked.split(batch)])
    return nn.functional.normalize(embeddings).cpu().numpy()


def verification_trials(embeddings: Floats, speakers: NDArray[np.str_]) -> tuple[Floats, Bools, Integers]:
    """Cosines of all pairs, whether each is of one speaker, and the pairs' indices (2, trials)."""
    pairs = np.stack(np.triu_indices(len(embeddings), k=1))
    cosines = np.sum(embeddings[pairs[0]] * embeddings[pairs[1]], axis=1)
    return cosines, speakers[pairs[0]] == speakers[pairs[1]], pairs


def evaluate_embedding(network: nn.Module, speech: Speech, seconds: float = 3.0) -> dict[str, float]:
    """Equal error rates (per cent) over all pairs of segments, and over those from different utterances."""
    found = segments(speech, seconds)
    if len(found) < 2:
        raise DataError(f"fewer than two segments of {seconds:g} s")
    cosines, same, pairs = verification_trials(
        embed(network, [waveform for _, _, waveform in found]), np.array([speaker for speaker, _, _ in found])
    )
    result = {
        "segments": float(len(found)),
        "trials": float(len(same)),
        "eer": 100 * equal_error_rate(cosines, same),
    }
    origin = np.array([f"{speaker}/{utterance}" for speaker, utterance, _ in found])
    apart = origin[pairs[0]] != origin[pairs[1]]
    if same[apart].any():
        result["eer_across_utterances"] = 100 * equal_error_rate(cosines[apart], same[apart])
    return result


def held_out_eer(held: Speech, seed: int) -> Callable[[nn.Module], dict[str, float]]:
    """The equal error rate (per cent) of an objective's embeddings of augmented 3 s segments of held-out speakers."""
    rng = np.random.default_rng(seed)
    found = [(speaker, augment(rng, waveform)) for speaker, _, waveform in segments(held, 3.0) for _ in range(2)]

    def validate(trained: nn.Module) -> dict[str, float]:
        centred = nn.Sequential(trained.get_submodule("network"), trained.get_submodule("norm"))
        embeddings = embed(centred, [waveform for _, waveform in found])
        cosines, same, _ = verification_trials(embeddings, np.array([name for name, _ in found]))
        return {"dev_eer": 100 * equal_error_rate(cosines, same)}

    return validate


def local_errors(probabilities: Floats, reference: Floats, threshold: float = 0.5) -> tuple[int, int]:
    """Errors and speech, both in speaker-frames, under the best assignment of output to reference speakers.

    probabilities and reference (frames, speakers), as many speakers in both. Errors are missed speech, false
    alarms and confusions as in the diarization error rate.
    """
    decided, truth = probabilities > threshold, reference > 0.5
    worst = np.maximum(decided.sum(axis=1), truth.sum(axis=1)).sum()
    hits = (decided[:, :, None] & truth[:, None, :]).sum(axis=0)
    speakers = range(truth.shape[1])
    best = max(
        sum(hits[output, target] for output, target in zip(speakers, order, strict=True))
        for order in permutations(speakers)
    )
    return int(worst - best), int(truth.sum())


@torch.inference_mode()
def segmentation_error(network: nn.Module, waveforms: Tensor, labels: Tensor, batch: int = 16) -> float:
    """Local error rate (per cent): waveforms (chunks, 1, samples), labels (chunks, steps, anybody)."""
    totals = np.zeros(2, int)
    for signal, label in zip(waveforms.split(batch), labels.split(batch), strict=True):
        probabilities = network(signal.to(_device(network))).cpu()
        targets = targets_of(label, probabilities.shape[1], probabilities.shape[2])
        for chunk, target in zip(probabilities.numpy(), targets.numpy(), strict=True):
            totals += local_errors(chunk, target)
    return float(100 * totals[0] / max(totals[1], 1))


def chunks(stretches: Iterable[tuple[Floats, Bools]]) -> tuple[Tensor, Tensor]:
    """All whole chunks of 5 s of stretches (samples, activity), for `segmentation_error`."""
    samples, steps = int(CHUNK * SAMPLE_RATE), int(CHUNK * FRAMES_PER_SECOND)
    signals, labels = [], []
    for waveform, active in stretches:
        count = min(len(waveform) // samples, len(active) // steps)
        signals.append(waveform[: count * samples].reshape(count, 1, samples))
        labels.append(active[: count * steps].reshape(count, steps, -1))
    if not sum(map(len, signals)):
        raise DataError("no conversation is as long as one chunk of 5 s")
    return torch.from_numpy(np.concatenate(signals)), torch.from_numpy(np.concatenate(labels)).float()


def evaluate_segmentation(network: nn.Module, conversations: Iterable[Conversation]) -> float:
    """Local error rate (per cent) over the whole chunks of 5 s of real conversations."""
    stretches = []
    for real in conversations:
        waveform = real.audio.read()
        stretches.append((waveform, activity(real.turns, 0.0, len(waveform) / SAMPLE_RATE)))
    return segmentation_error(network, *chunks(stretches))
