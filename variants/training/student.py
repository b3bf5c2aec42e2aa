"""A teacher, and the student before its training: from random weights or from the teacher's own layers."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from variants.loading import WEIGHTS, load
from variants.paper.distilled import REMOVED, randomize, reduce
from variants.provenance import provenance_of
from variants.speech.data import DataError

from .architecture import XVectorSincNet
from .embedding import features_of, tdnn_levels
from .weights import load_network

RIDGE = 1e-3  # of the least squares, times the mean variance of the inputs


@dataclass(frozen=True)
class Teacher:
    """A trained embedding network, frozen, and the SHA-256 of its file."""

    network: XVectorSincNet
    sha256: str


def load_teacher(source: str) -> Teacher:
    """`bundled`, a safetensors file, or whatever `--embedding` takes.

    Raises DataError or UserError for a file that holds no XVectorSincNet.
    """
    path = WEIGHTS / "embedding.safetensors" if source == "bundled" else Path(source)
    if path.suffix == ".safetensors":
        network, digest = load_network(path), hashlib.sha256(path.read_bytes()).hexdigest()
        if not isinstance(network, XVectorSincNet):
            raise DataError(f"{path}: not an embedding, so it cannot teach one")
    else:
        model = load("embedding", source)
        network, stamped = XVectorSincNet(), provenance_of(model)
        assert stamped is not None  # `load` stamps
        network.load_state_dict(model.state_dict())
        digest = stamped.sha256
    return Teacher(network.eval().requires_grad_(False), digest)


def has_initial_front(network: XVectorSincNet) -> bool:
    """Whether the sinc filters are as initialised (to half precision), so that the embedding's stored features fit."""
    fresh = XVectorSincNet().sincnet
    return all(
        torch.equal(value.half(), other.half())
        for part, initial in (
            (network.sincnet.wav_norm1d, fresh.wav_norm1d),
            (network.sincnet.conv1d[0], fresh.conv1d[0]),
        )
        for value, other in zip(part.state_dict().values(), initial.state_dict().values(), strict=True)
    )


def new_student(teacher: XVectorSincNet, seed: int) -> XVectorSincNet:
    """The reduced architecture with random weights, but the teacher's sinc filters, which stay as they are."""
    student = randomize(reduce(copy.deepcopy(teacher).requires_grad_(True)), seed)
    student.sincnet.wav_norm1d.load_state_dict(teacher.sincnet.wav_norm1d.state_dict())
    student.sincnet.conv1d[0].load_state_dict(teacher.sincnet.conv1d[0].state_dict())
    return student.train()


@torch.no_grad()
def cut_student(teacher: XVectorSincNet, signal: Tensor) -> XVectorSincNet:
    """The teacher less level `REMOVED`, its SincNet frozen, each level behind the cut refitted on what reaches it now.

    Least squares on `signal` (as in `features_of`): each convolution is to give the teacher's own values before the
    activation. The first of them thus takes over, as far as it can, what the missing level did.
    """
    student = reduce(copy.deepcopy(teacher)).requires_grad_(True)
    student.sincnet.requires_grad_(False)
    front = teacher.sincnet.back(features_of(teacher, signal)).transpose(1, 2)
    theirs = tdnn_levels(teacher, front)
    for level in range(REMOVED, len(theirs) - 1):
        conv, original = student.tdnns[3 * level], teacher.tdnns[3 * level + 3]
        targets = original(theirs[level].transpose(1, 2)).transpose(1, 2)
        refit(conv, tdnn_levels(student, front)[level - 1], targets)
    return student


def refit(conv: nn.Module, inputs: Tensor, targets: Tensor) -> None:
    """Weights and bias of a convolution by least squares: (batch, frames, channels) to the middle frames' targets."""
    assert isinstance(conv, nn.Conv1d)  # for the type checker, as is the next line
    assert conv.bias is not None
    (kernel,), (dilation,) = conv.kernel_size, conv.dilation
    frames = inputs.shape[1] - (kernel - 1) * dilation
    taps = torch.cat([inputs[:, tap * dilation : tap * dilation + frames] for tap in range(kernel)], dim=2)
    known, wanted = centre_frames(taps, targets.shape[1]).flatten(0, 1), targets.flatten(0, 1)
    mean, goal = known.mean(dim=0), wanted.mean(dim=0)
    known, wanted = known - mean, wanted - goal
    gram = (known.T @ known).double()
    gram.diagonal().add_(RIDGE * gram.diagonal().mean())
    matrix = torch.linalg.solve(gram, (known.T @ wanted).double()).float()  # (kernel * inputs, outputs)
    conv.weight.data = matrix.T.unflatten(1, (kernel, -1)).permute(0, 2, 1).contiguous()
    conv.bias.data = goal - mean @ matrix


def centre_frames(outputs: Tensor, frames: int) -> Tensor:
    """The middle `frames` of (batch, frames, channels): a network with less context has more at both ends."""
    first = (outputs.shape[1] - frames) // 2
    return outputs[:, first : first + frames]
