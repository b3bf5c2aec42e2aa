"""Accuracy results on disk, keyed by all that they depend on."""

import contextlib
import hashlib
import io
import json
import os
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

import variants
from bench.corpus import Recording

from .der import Accuracy, Components, FileScore

CODE = ("accuracy/der.py", "pipeline/chunks.py", "pipeline/diarize.py", "pipeline/oracle.py", "pipeline/staged.py")
PACKAGES = ("torch", "diart", "pyannote.audio", "pyannote.core", "pyannote.metrics", "onnxruntime")


def digest(*parts: Any) -> str:
    """SHA-256 of bytes, or of the parts' representation."""
    state = hashlib.sha256()
    for part in parts:
        state.update(part if isinstance(part, bytes) else repr(part).encode())
        state.update(b"\0")
    return state.hexdigest()


def model_digest(model: Any) -> str | None:
    """SHA-256 of a model's structure and weights, or of its ONNX file; None for anything else."""
    if isinstance(model, nn.Module):
        buffer = io.BytesIO()
        torch.save(model.state_dict(), buffer)
        return digest(repr(model).encode(), buffer.getvalue())
    path = getattr(getattr(model, "model", None), "path", None)
    return None if path is None else digest(path.read_bytes())


def code_digest() -> str:
    """SHA-256 of the code and the versions of the packages that results depend on."""
    here, there = Path(__file__).parents[1], Path(variants.__file__).parent
    sources = [here / name for name in CODE] + sorted(there.rglob("*.py"))
    return digest(*(source.read_bytes() for source in sources), [(name, version(name)) for name in PACKAGES])


def recording_digest(recording: Recording) -> str:
    """SHA-256 of a recording's audio file, reference and UEM."""
    return digest(recording.path.read_bytes(), str(recording.reference), str(recording.uem))


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that it is either there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(temporary).chmod(0o644)  # as any other file, not only for this user
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load(folder: Path, key: str) -> Accuracy | None:
    """The stored accuracy of that key; None if there is none, or if it cannot be read."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        files = json.loads((folder / f"{key}.json").read_text())["files"]
        return Accuracy(tuple(_file_score(entry) for entry in files))
    return None


def store(folder: Path, key: str, accuracy: Accuracy) -> None:
    """Keep an accuracy under its key."""
    write_atomically(folder / f"{key}.json", json.dumps(asdict(accuracy)))


def _file_score(entry: dict[str, Any]) -> FileScore:
    der = entry["der"]
    return FileScore(
        entry["name"],
        None if der is None else Components(**der),
        Components(**entry["disagreement"]),
        entry["cosine"],
        entry["parent_cosine"],
        tuple(entry["changed"]),
        tuple((start, end, speaker) for start, end, speaker in entry["turns"]),
    )
