"""Scores of single files on disk, keyed by all that they depend on."""

import contextlib
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

import variants
from bench import pipeline
from bench.corpus import Recording
from variants.files import write_atomically

from .der import FileScore
from .errors import Components
from .rows import Row

CODE = (  # of what results rest on
    Path(__file__).parent,
    Path(pipeline.__file__).parent,
    Path(variants.__file__).parent,
)
PIECE = 2**20  # bytes of audio read at a time
PACKAGES = ("torch", "diart", "pyannote.audio", "pyannote.core", "pyannote.metrics", "onnxruntime")


def digest(*parts: object) -> str:
    """SHA-256 of bytes, or of the parts' representation."""
    state = hashlib.sha256()
    for part in parts:
        state.update(part if isinstance(part, bytes) else repr(part).encode())
        state.update(b"\0")
    return state.hexdigest()


def model_digest(model: object) -> str | None:
    """SHA-256 of a model's structure and weights, or of its ONNX file; None for anything else."""
    if isinstance(model, nn.Module):
        buffer = io.BytesIO()
        torch.save(model.state_dict(), buffer)
        return digest(repr(model).encode(), buffer.getvalue())
    path = getattr(getattr(model, "model", None), "path", None)
    return None if path is None else digest(path.read_bytes())


def code_digest() -> str:
    """SHA-256 of the code in the folders of `CODE`, at any depth, and of the packages' versions."""
    sources = [source for folder in CODE for source in sorted(folder.rglob("*.py"))]
    versions = [(name, version(name)) for name in PACKAGES]
    return digest(*(part for source in sources for part in (source.name, source.read_bytes())), versions)


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            found.update(piece)
    return found.hexdigest()


def recording_digest(recording: Recording) -> str:
    """SHA-256 of a recording's audio file, reference and UEM."""
    return digest(file_digest(recording.path), str(recording.reference), str(recording.uem))


def load(folder: Path, key: str) -> FileScore | None:
    """The stored score of that key; None if there is none, or if it cannot be read."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return as_score(json.loads((folder / f"{key}.json").read_bytes()))
    return None


def store(folder: Path, key: str, score: FileScore) -> None:
    """Keep a score under its key, where anything can be kept: a full disk costs the next run time, not this one."""
    with contextlib.suppress(OSError):
        write_atomically(folder / f"{key}.json", json.dumps(asdict(score)))


def as_score(entry: Mapping[str, Any]) -> FileScore:
    """From plain values; LookupError or TypeError for anything else."""
    der = entry["der"]
    blocks = {key: tuple(Components(**block) for block in entry[key]) for key in ("der_blocks", "disagreement_blocks")}
    return FileScore(
        entry["name"],
        None if der is None else Components(**der),
        Components(**entry["disagreement"]),
        entry["cosine"],
        entry["parent_cosine"],
        tuple(entry["changed"]),
        tuple((start, end, speaker) for start, end, speaker in entry["turns"]),
        **blocks,
        duration=entry["duration"],
        labels=entry["labels"],
        seconds=entry["seconds"],
        cosines=tuple((cosine, count) for cosine, count in entry["cosines"]),
        worst=tuple(Row(*row) for row in entry["worst"]),
    )
