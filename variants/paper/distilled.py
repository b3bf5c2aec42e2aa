"""The reduced student (paper IV-A): the baseline with one TDNN level less and ReLU for LeakyReLU."""

import json
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import safe_open
from torch import nn

from variants.errors import UnavailableError
from variants.loading import checked
from variants.provenance import Provenance, provenance_of, stamp
from variants.registry import variant

Network = TypeVar("Network", bound=nn.Module)
STUDENT = Path(__file__).parents[1] / "weights" / "student.safetensors"
REMOVED = 1  # the level to remove, of 0 to 4: the first 512->512 one; the other keeps its wider dilation of 3


def reduce(model: Network) -> Network:
    """Remove TDNN level `REMOVED` (convolution, activation, BatchNorm) and make the rest use ReLU.

    Raises UnavailableError for a model without the x-vector's `tdnns`.
    """
    tdnns = getattr(model, "tdnns", None)
    if not isinstance(tdnns, nn.ModuleList):
        raise UnavailableError(f"the reduced student needs an XVectorSincNet, not a {type(model).__name__}")
    kept = [layer for i, layer in enumerate(tdnns) if i // 3 != REMOVED]
    model.tdnns = nn.ModuleList(nn.ReLU() if isinstance(layer, nn.LeakyReLU) else layer for layer in kept)
    for geometry in ("kernel_size", "dilation", "padding", "stride"):  # what pyannote's `num_frames` computes with
        if hasattr(model, geometry):
            values = getattr(model, geometry)
            setattr(model, geometry, values[:REMOVED] + values[REMOVED + 1 :])
    return model


def randomize(model: Network, seed: int) -> Network:
    """Draw every weight anew, reproducibly."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in model.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
    return model


def load_student(model: nn.Module, path: Path) -> nn.Module | None:
    """The student in a safetensors file, built from its teacher `model`; None where it is another model's."""
    teacher = provenance_of(model)
    with safe_open(path, "pt") as file:
        taught_by = json.loads((file.metadata() or {}).get("teacher_sha256", '""'))
        if teacher is None or taught_by != teacher.sha256:
            return None
        student = reduce(model)
        student.load_state_dict({key: file.get_tensor(key).float() for key in file.keys()})  # noqa: SIM118
    return student


@variant("distilled", title="knowledge distillation", paper="knowledge distillation", tolerance=1.0)
def distilled(model: nn.Module) -> nn.Module:
    """The student distilled from this very baseline if one is shipped, else the architecture with random weights."""
    if STUDENT.is_file():
        digest = checked(STUDENT)
        student = load_student(model, STUDENT)
        if student is not None:
            return stamp(student, Provenance("bundled student", digest, trained=True))
    teacher = provenance_of(model)
    of = teacher.source if teacher is not None else "an unknown teacher"
    student = randomize(reduce(model), seed=1)
    return stamp(student, Provenance(f"no student of {of}", "random-seed-1", trained=False))
