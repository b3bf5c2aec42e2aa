"""The models that are shipped beside the code, as safetensors in half precision; their SHA-256 is checked first."""

import hashlib
import json
from pathlib import Path
from typing import Any

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
    from safetensors import SafetensorError, safe_open

    path = WEIGHTS / f"{kind}.safetensors"
    try:
        digest = checked(path)
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UserError(f"bundled {kind}: cannot read {path}: {error}") from None
    module, name = metadata["architecture"].rsplit(".", 1)
    model = architecture(kind, module, name, str(path))(**json.loads(metadata["hyperparameters"]))
    if kind == "segmentation":
        model.specifications = segmentation_specifications(state["classifier.weight"].shape[0])
        model.setup()
    model.load_state_dict(state)
    network: nn.Module = model.eval()
    return stamp(network, Provenance(f"bundled {kind}", digest, trained=True))


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
