"""`streaming-segmentation-taught`: a student of the segmentation, that was taught to carry its state for ever."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from variants.compressed.int8_static import quantised
from variants.errors import UnavailableError
from variants.loading import WEIGHTS, checked
from variants.provenance import Provenance, provenance_of, stamp
from variants.registry import variant

from .recurrence import Recurrence
from .streaming_segmentation import StreamingSegmentation

STUDENTS = "streaming-segmentation*.safetensors"  # each of one teacher
ANEW = 1.0  # of a chunk's length after which one is computed anew


def in_bytes(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix in int8, and the scale of each of its rows, float16."""
    scale = (weight.abs().amax(dim=1, keepdim=True) / 127).clamp_min(1e-6).half()
    return (weight / scale.float()).round().clamp(-127, 127).to(torch.int8), scale


@torch.no_grad()
def student_of(model: nn.Module, folder: Path | None = None) -> tuple[Recurrence, Provenance]:
    """The shipped student of this very model; UnavailableError, which names those that have one, for any other.

    Matrices lie in int8, as of `in_bytes`, all else in float16.
    """
    teacher, others = provenance_of(model), []
    for path in sorted((folder or WEIGHTS).glob(STUDENTS)):
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            if teacher is not None and json.loads(metadata["teacher_sha256"]) == teacher.sha256:
                student = Recurrence(copy.deepcopy(model))
                for key, parameter in student.named_parameters():
                    scale = file.get_tensor(f"{key}.scale").float() if parameter.dim() > 1 else 1.0
                    parameter.copy_(file.get_tensor(key).float() * scale)
                return student, Provenance(f"student of {teacher.source}", checked(path), trained=True)
        others.append(json.loads(metadata["teacher"]))
    of = "this model" if teacher is None else teacher.source
    raise UnavailableError(f"no student of {of} is shipped, only of {' and '.join(others) or 'none'}")


@variant(
    "streaming-segmentation-taught",
    title="streaming, taught, int8",
    parent="segmentation",
    model="segmentation",
    tolerance=1.0,
    needs=["onnx", "onnxruntime"],
    exported_by="segmentation-int8",
)
def streaming_segmentation_taught(model: nn.Module) -> nn.Module:
    """Of all chunks the last frames only, by a student that was taught to carry its state; its LSTMs in int8."""
    student, origin = student_of(model)
    made = StreamingSegmentation(model, anew=ANEW, finish=quantised((), {}), recurrence=student)
    return stamp(made.eval(), origin)
