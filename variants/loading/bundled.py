"""Weights as `python -m variants.training export` writes them: safetensors in half precision, with pyannote's names.

Those shipped beside the code are among them; their SHA-256 is checked first.
"""

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import nn

from variants.errors import UserError
from variants.provenance import Provenance, stamp
from variants.registry import Model

from .architectures import architecture

WEIGHTS = Path(__file__).parents[1] / "weights"


def checked(path: Path) -> str:
    """SHA-256 of a shipped file; UserError if it is not the one that SHA256SUMS beside it lists."""
    lines = (path.parent / "SHA256SUMS").read_text().splitlines()
    known = {name: digest for digest, name in (line.split() for line in lines)}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != known.get(path.name):
        raise UserError(f"bundled {path.stem}: {path} is damaged (SHA-256 differs from SHA256SUMS); reinstall it")
    return digest


def load_bundled(kind: Model) -> nn.Module:
    """The shipped weights in pyannote's stock class."""
    path = WEIGHTS / f"{kind}.safetensors"
    try:
        digest = checked(path)
        model = _stock(kind, path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"bundled {kind}: cannot read {path}: {error}") from None
    return stamp(model, Provenance(f"bundled {kind}", digest, trained=True))


def is_exported(path: Path) -> bool:
    """Whether a file names one of pyannote's architectures; False for one that is no safetensors file."""
    with contextlib.suppress(OSError, SafetensorError), safe_open(path, "pt") as file:
        return "architecture" in (file.metadata() or {})
    return False


def load_exported(kind: Model, path: Path) -> nn.Module:
    """The weights of an exported file in pyannote's stock class; UserError, one line, for any other file."""
    try:
        model, digest = _stock(kind, path), hashlib.sha256(path.read_bytes()).hexdigest()
    except UserError:
        raise
    except Exception as error:  # safetensors, JSON and the stock classes each have their own for what does not fit
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"--{kind} {path}: no weights that `python -m variants.training export` wrote ({reason})"
        ) from None
    return stamp(model, Provenance(str(path), digest, trained=True))


def _stock(kind: Model, path: Path) -> nn.Module:
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
        state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    if "architecture" not in metadata:
        raise ValueError("names no architecture")
    module, _, name = metadata["architecture"].rpartition(".")
    model = architecture(kind, module, name, str(path))(**json.loads(metadata["hyperparameters"]))
    if kind == "segmentation":
        model.specifications = segmentation_specifications(state["classifier.weight"].shape[0])
        model.setup()
    model.load_state_dict(state)
    network: nn.Module = model.eval()
    return network


def segmentation_specifications(speakers: int) -> Any:
    """pyannote's description of a 5 s, frame-wise, permutation-invariant segmentation."""
    from pyannote.audio.core.task import Problem, Resolution, Specifications

    return Specifications(
        problem=Problem.MULTI_LABEL_CLASSIFICATION,
        resolution=Resolution.FRAME,
        duration=5.0,
        classes=[f"speaker#{i + 1}" for i in range(speakers)],
        permutation_invariant=True,
    )
