"""Which model a name stands for: bundled, fetched, a preset, a file, or an id on Hugging Face."""

import re
from pathlib import Path
from typing import Any

from torch import nn

from variants.campplus import load_campplus
from variants.errors import UserError
from variants.fetch import KNOWN, path_of
from variants.registry import Model
from variants.wavlm import PRESETS
from variants.wavlm import weights as wavlm

from .bundled import is_exported, load_bundled, load_exported
from .checkpoint import load_checkpoint
from .hub import download

# of those that can be had without a token, the one that DIART's paper runs
FETCHED_SEGMENTATION = "pyannote/segmentation"
CAMPPLUS = "campplus"  # the embedding that `variants.campplus` is the network of


def default_segmentation() -> str:
    """`FETCHED_SEGMENTATION` where `python -m variants fetch` has put it, else "bundled"."""
    return FETCHED_SEGMENTATION if path_of(FETCHED_SEGMENTATION).exists() else "bundled"


def load(kind: Model, source: str = "bundled", trust: bool = False) -> nn.Module:
    """Load the model of `kind` ("embedding" or "segmentation"), in eval mode, with its provenance stamped.

    source: "bundled", a path, or a Hugging Face id ("owner/name", "owner/name@revision"; the token is the usual
    login's or HF_TOKEN's); for one that `python -m variants fetch` has fetched, its file. For an embedding also
    "campplus", once it is fetched; for a segmentation also a preset of `variants.wavlm`, its encoder's weights behind a
    "=" if there are any ("wavlm-base-plus=microsoft/wavlm-base-plus"). Of what the recipes write: safetensors files.
    trust: accept any architecture and pickled object that a local file names.
    Raises UserError, one line, for a model that is gated, missing, damaged or of another kind.
    """
    if source == "bundled":
        return load_bundled(kind)
    if source == CAMPPLUS:
        if kind != "embedding":
            raise UserError(f"--{kind} {source}: it is a model for --embedding")
        return load_campplus(path_of(source), KNOWN[source].sha256)
    path = Path(source).expanduser()
    if kind == "segmentation" and (preset := source.partition("="))[0] in PRESETS:
        return wavlm.load_preset(preset[0], preset[2] or None)
    if path.suffix == ".safetensors" and path.exists():
        other = kind == "segmentation" and not is_exported(path)
        return wavlm.load_file(path) if other else load_exported(kind, path)
    if path.exists():
        return load_checkpoint(kind, path, source, trust)
    if source in KNOWN and path_of(source).exists():
        return load_checkpoint(kind, path_of(source), source, sha256=KNOWN[source].sha256)
    if re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", source) and path.suffix not in {".ckpt", ".bin", ".pt"}:
        return load_checkpoint(kind, download(kind, source), source, trust)
    raise UserError(f"--{kind} {source}: no such file, and not a Hugging Face id of the form owner/name")


def trained_duration(model: Any) -> float | None:
    """Seconds of the chunks that a segmentation model was trained on, None where it does not say."""
    return getattr(getattr(model, "specifications", None), "duration", None)
