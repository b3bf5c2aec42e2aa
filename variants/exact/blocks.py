"""DIART's pipeline without what its blocks around the two models compute needlessly; the same output, bit for bit.

Per chunk, DIART draws a Hamming window anew for each of up to twelve buffered predictions, crops it by itself, copies
each crop three times over, looks for speaker turns frame by frame, copies the waveform once per local speaker, and
measures how far each of these is from every speaker that there could be. Here a buffer's frames are worked out once,
the window once per length, all turns at once; no waveform is copied; who is silent or unknown is left out.
"""

from functools import lru_cache
from math import ceil

import numpy as np
import torch
from diart import SpeakerDiarization, SpeakerDiarizationConfig
from diart.blocks import OnlineSpeakerClustering, OverlapAwareSpeakerEmbedding
from diart.blocks.aggregation import FirstOnlyStrategy, HammingWeightedAverageStrategy
from diart.blocks.utils import Binarize
from pyannote.core import Annotation, Segment, SlidingWindowFeature
from pyannote.core.utils.distance import cdist
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from variants.arrays import Doubles, Floats

UNMAPPED = 1e10  # DIART's cost of an assignment that must not be


@lru_cache(maxsize=8)
def hamming(frames: int) -> Doubles:
    """Hamming window (frames, 1)."""
    return np.hamming(frames)[:, None]


class LeanEmbedding(OverlapAwareSpeakerEmbedding):  # type: ignore[misc]
    """All in one pass; the model's rows are views of the waveforms."""

    def __call__(self, waveform: Tensor, segmentation: Tensor) -> Tensor:
        """(batch, speakers, dimension) of (batch, samples, 1) and (batch, frames, speakers)."""
        penalty, block = self.osp, self.embedding
        with torch.no_grad():
            if penalty.normalize:
                weights = penalty(segmentation)
            else:
                scores = segmentation.float()
                sure = torch.softmax(penalty.beta * scores, dim=-1)
                weights = (scores**penalty.gamma * sure**penalty.gamma).clamp_(min=1e-8)
            weights = weights.to(block.device).transpose(1, 2)
            rows = waveform.float().to(block.device).transpose(1, 2).expand(weights.shape[0], weights.shape[1], -1)
            found = block.model(rows.flatten(0, 1)[:, None], weights.flatten(0, 1)).cpu()
            found = found.unflatten(0, weights.shape[:2])
            unit: Tensor = self.normalize.norm * found / torch.linalg.vector_norm(found, dim=-1, keepdim=True)
        return unit


class LeanClustering(OnlineSpeakerClustering):  # type: ignore[misc]
    """While all who talk are known: distances between these alone, and one assignment; else DIART's own steps."""

    def __call__(self, segmentation: SlidingWindowFeature, embeddings: Tensor) -> SlidingWindowFeature:
        scores, rows = segmentation.data, embeddings.detach().cpu().numpy()
        speakers = scores.shape[1]
        if self.centers is None or speakers > self.max_speakers:
            return super().__call__(segmentation, embeddings)
        (active,) = (np.maximum.reduce(scores) >= self.tau_active).nonzero()
        known = [*self.active_centers - self.blocked_centers]
        apart = cdist(rows[active], self.centers[known], self.metric)
        if np.isnan(apart).any():  # embeddings that DIART leaves out
            return super().__call__(segmentation, embeddings)
        costs = np.empty((speakers, self.max_speakers))  # whole: rounding in it decides between equals
        costs[:] = UNMAPPED
        costs[active[:, None], known] = apart
        targets = linear_sum_assignment(costs)[1][active]
        if (costs[active, targets] >= self.delta_new).any():
            return super().__call__(segmentation, embeddings)
        long = np.add.reduce(scores) / len(scores) >= self.rho_update  # what `np.mean` does, of float32, and faster
        found = np.zeros((len(scores), self.max_speakers))
        for local, known_as in zip(active, targets, strict=True):
            found[:, known_as] = scores[:, local]
            if long[local]:
                self.centers[known_as] += rows[local]
        return SlidingWindowFeature(found, segmentation.sliding_window)


class LeanHamming(HammingWeightedAverageStrategy):  # type: ignore[misc]
    """With one crop per buffer, a loose one."""

    def aggregate(self, buffers: list[SlidingWindowFeature], focus: Segment) -> Doubles:
        """Mean of all buffers (frames, speakers) over `focus`, weighted by the window aligned to each."""
        frames, windows = len(buffers[0].data), [buffer.sliding_window for buffer in buffers]
        firsts = [ceil((focus.start - window.duration - window.start) / window.step) for window in windows]
        count = windows[0].samples(focus.duration, mode="loose")
        rows = np.add.outer(firsts, np.arange(count))
        rows = np.minimum(np.maximum(rows, 0), frames - 1)  # as pyannote: beyond its ends nothing changes
        weights = hamming(frames)[rows]
        scores = np.array([buffer.data[row] for buffer, row in zip(buffers, rows, strict=True)])
        return np.asarray(np.add.reduce(weights * scores) / np.add.reduce(weights))


class LeanFirst(FirstOnlyStrategy):  # type: ignore[misc]
    """With one copy."""

    def aggregate(self, buffers: list[SlidingWindowFeature], focus: Segment) -> Floats:
        """The first buffer (frames, channels) over `focus`."""
        data, window = buffers[0].data, buffers[0].sliding_window
        first = window.closest_frame(focus.start)
        rows = np.arange(first, first + window.samples(focus.duration, mode="center"))
        found: Floats = data[np.minimum(np.maximum(rows, 0), len(data) - 1)]
        return found


class LeanBinarize(Binarize):  # type: ignore[misc]
    """Scores (frames, speakers) above the threshold to an Annotation, all turns at once."""

    def __call__(self, segmentation: SlidingWindowFeature) -> Annotation:
        frames, speakers = segmentation.data.shape
        active = np.zeros((frames + 2, speakers), np.int8)
        active[1:-1] = segmentation.data > self.threshold
        edges = active[1:] - active[:-1]
        annotation = Annotation(uri=self.uri, modality="speech")
        middle = segmentation.sliding_window.__getitem__
        begun: dict[int, float] = {}
        for frame, speaker in np.argwhere(edges):
            if edges[frame, speaker] > 0:
                begun[speaker] = middle(int(frame)).middle
            else:
                annotation[Segment(begun[speaker], middle(int(frame)).middle), speaker] = f"speaker{speaker}"
        return annotation


class LeanDiarization(SpeakerDiarization):  # type: ignore[misc]
    """`diart.SpeakerDiarization` with these blocks."""

    def __init__(self, config: SpeakerDiarizationConfig) -> None:
        super().__init__(config)
        self.embedding = LeanEmbedding(
            config.embedding,
            config.gamma,
            config.beta,
            normalize_weights=config.normalize_embedding_weights,
            device=config.device,
        )
        self.pred_aggregation.aggregate = LeanHamming()
        self.audio_aggregation.aggregate = LeanFirst()
        self.binarize = LeanBinarize(config.tau_active)

    def reset(self) -> None:
        super().reset()
        config = self.config
        self.clustering = LeanClustering(
            config.tau_active, config.rho_update, config.delta_new, max_speakers=config.max_speakers
        )
