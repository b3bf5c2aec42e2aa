"""What a checkpoint may name as its architecture; importing anything else would run code of the file's choice."""

import importlib
from typing import Any

from variants.errors import UserError
from variants.registry import Model

EMBEDDING, SEGMENTATION = "pyannote.audio.models.embedding", "pyannote.audio.models.segmentation"
LISTED = {
    "embedding": {
        f"{EMBEDDING}.xvector": {"XVectorSincNet", "XVectorMFCC"},
        f"{EMBEDDING}.wespeaker": {"WeSpeakerResNet34"},
        EMBEDDING: {"XVectorSincNet", "XVectorMFCC", "WeSpeakerResNet34"},
    },
    "segmentation": {f"{SEGMENTATION}.PyanNet": {"PyanNet"}, SEGMENTATION: {"PyanNet"}},
}


def architecture(kind: Model, module: str, name: str, where: str, trust: bool = False) -> Any:
    """The model class, imported only if it is listed for `kind` (or `trust`); UserError, naming it and the cure."""
    if not trust and name not in LISTED[kind].get(module, set()):
        for other in LISTED:
            if name in LISTED[other].get(module, set()):
                raise UserError(f"--{kind} {where}: it is a model for --{other} ({module}.{name})")
        listed = sorted(set().union(*LISTED[kind].values()))
        raise UserError(
            f"--{kind} {where}: its architecture {module}.{name} is not one of {', '.join(listed)}; "
            "--trust-checkpoint loads it all the same, and runs what the file names"
        )
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"--{kind} {where}: cannot import its architecture {module}.{name}: {error}") from None
