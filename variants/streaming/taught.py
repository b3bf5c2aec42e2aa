"""Weights of a streaming trunk that was taught, by `python -m variants.training streaming`."""

import hashlib
import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import nn

from variants.errors import UserError
from variants.provenance import Provenance, provenance_of, stamp

from .streaming_trunk import StreamingTrunk


def load_taught(model: StreamingTrunk, path: Path) -> StreamingTrunk:
    """`model`, made of the teacher, with the taught weights of a safetensors file; UserError for another teacher's."""
    teacher = provenance_of(model)
    try:
        with safe_open(path, "pt") as file:
            taught_by = json.loads((file.metadata() or {}).get("teacher_sha256", '""'))
            if teacher is None or taught_by != teacher.sha256:
                of = "this model" if teacher is None else teacher.source
                raise UserError(f"{path}: not taught by {of}")
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
        nn.ModuleDict({"trunk": model.frame_trunk, "embedding": model.embedding}).load_state_dict(state)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise UserError(f"{path}: no weights of a streaming trunk ({str(error).splitlines()[0]})") from None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return stamp(model, Provenance(f"streaming trunk {path}", digest, trained=True))
