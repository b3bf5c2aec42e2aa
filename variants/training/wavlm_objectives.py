"""What the stages of the WavLM recipe minimise (Han et al., Interspeech 2025)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from variants.pruning import Constraint, Groups, PercentileClip, matching_loss, parameter_groups, scheduled
from variants.wavlm import Encoder, GatedEncoder, Segmenter
from variants.wavlm.powerset import SPEAKERS, matched_loss, relabelled, to_classes
from variants.wavlm.segmenter import prepared

from .segmentation import targets_of


def compared(layers: int) -> list[int]:
    """The hidden states that student and teacher are compared at: 0, 4, 8, 12 of 12 layers; 0, 8, 16, 24 of 24."""
    return [round(third * layers / 3) for third in range(4)]


class DiarizerObjective(nn.Module):
    """Permutation-matched powerset likelihood; WavLM learns more slowly, at `encoder_rate`, than what follows it."""

    names: Tensor

    def __init__(self, network: Segmenter, encoder_rate: float) -> None:
        super().__init__()
        self.network, self.encoder_rate = network, encoder_rate
        self.register_buffer("names", relabelled(), persistent=False)

    def parameter_groups(self, lr: float) -> Groups:
        """WavLM's and the others' parameters for AdamW."""
        encoder = list(self.network.encoder.parameters())
        inside = set(map(id, encoder))
        rest = [parameter for parameter in self.network.parameters() if id(parameter) not in inside]
        return [{"params": encoder, "lr": self.encoder_rate}, {"params": rest, "lr": lr}]

    def forward(self, batch: dict[str, Tensor], progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        scores = self.network.scores(batch["signal"])
        targets = targets_of(batch["labels"], scores.shape[1], SPEAKERS)
        return matched_loss(scores, to_classes(targets, self.network.members), self.names), {}


class DistillationObjective(nn.Module):
    """The distance of a student to its teacher in hidden states; clips the gradient at its own 90th percentile."""

    def __init__(self, student: nn.Module, teacher: Encoder) -> None:
        super().__init__()
        self.student, self.teacher = student, teacher.requires_grad_(False)
        self.clip = PercentileClip()

    def train(self, mode: bool = True) -> DistillationObjective:
        super().train(mode)
        self.teacher.eval()
        return self

    def parameter_groups(self, lr: float) -> Groups:
        """AdamW's groups, without weight decay."""
        return parameter_groups(self, lr)

    def distance(self, waveforms: Tensor) -> Tensor:
        """Between the hidden states that are compared, of waveforms (batch, 1, samples)."""
        waveforms = prepared(waveforms, self.teacher.sizes)
        with torch.no_grad():
            theirs = self.teacher(waveforms)
        mine = self.student(waveforms)
        at = compared(len(theirs) - 1)
        return matching_loss([mine[i] for i in at], [theirs[i] for i in at])

    def forward(self, batch: dict[str, Tensor], progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        distance = self.distance(batch["signal"])
        return distance, {"distance": distance}


class PruningObjective(DistillationObjective):
    """The same, while the student's gates close: its sparsity is to reach `target`, which rises until `warm`."""

    student: GatedEncoder

    def __init__(
        self, student: GatedEncoder, teacher: Encoder, target: float, warm: float, gate_rate: float = 2e-2
    ) -> None:
        super().__init__(student, teacher)
        self.constraint, self.target, self.warm, self.gate_rate = Constraint(), target, warm, gate_rate

    def parameter_groups(self, lr: float) -> Groups:
        """AdamW's groups, without weight decay: weights, gates, and multipliers, which ascend."""
        return parameter_groups(self, lr, self.gate_rate, self.gate_rate)

    def forward(self, batch: dict[str, Tensor], progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        distance, sparsity = self.distance(batch["signal"]), self.student.sparsity()
        wanted = scheduled(progress, self.target, self.warm)
        return distance + self.constraint(sparsity, wanted), {"distance": distance, "sparsity": sparsity}
