"""The reduced student (paper IV-A): the baseline with one TDNN level less and ReLU for LeakyReLU."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn

from .errors import UnavailableError
from .provenance import Provenance, provenance_of, stamp
from .registry import variant

STUDENT = Path(__file__).parent / "weights" / "student.safetensors"
REMOVED = 1  # the level to remove, of 0 to 4: the first 512->512 one; the other keeps its wider dilation of 3


def reduce(model: nn.Module) -> nn.Module:
    """Remove TDNN level `REMOVED` (convolution, activation, BatchNorm) and make the rest use ReLU.

    Raises UnavailableError for a model without the x-vector's `tdnns`.
    """
    tdnns = getattr(model, "tdnns", None)
    if not isinstance(tdnns, nn.ModuleList):
        raise UnavailableError(f"the reduced student needs an XVectorSincNet, not a {type(model).__name__}")
    kept = [layer for i, layer in enumerate(tdnns) if i // 3 != REMOVED]
    model.tdnns = nn.ModuleList(nn.ReLU() if isinstance(layer, nn.LeakyReLU) else layer for layer in kept)
    for geometry in ("kernel_size", "dilation", "padding", "stride"):  # what `num_frames` computes with
        values = getattr(model, geometry)
        setattr(model, geometry, values[:REMOVED] + values[REMOVED + 1 :])
    return model


def randomize(model: nn.Module, seed: int) -> nn.Module:
    """Draw every weight anew, reproducibly."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in model.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
    return model


@variant("distilled", title="knowledge distillation", paper="knowledge distillation", tolerance=6.0)
def distilled(model: nn.Module) -> nn.Module:
    """The student distilled from this very baseline if one is shipped, else the architecture with random weights."""
    teacher = provenance_of(model)
    student = randomize(reduce(model), seed=1)
    if STUDENT.is_file():
        with safe_open(STUDENT, "pt") as file:
            taught_by = json.loads((file.metadata() or {}).get("teacher_sha256", '""'))
            if teacher is not None and taught_by == teacher.sha256:
                student.load_state_dict({key: file.get_tensor(key).float() for key in file.keys()})  # noqa: SIM118
                digest = hashlib.sha256(STUDENT.read_bytes()).hexdigest()
                return stamp(student, Provenance("bundled student", digest, trained=True))
    of = teacher.source if teacher is not None else "an unknown teacher"
    return stamp(student, Provenance(f"no student of {of}", "random-seed-1", trained=False))
