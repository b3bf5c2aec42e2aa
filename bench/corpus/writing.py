"""A folder of conversations that appears complete or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from variants.arrays import Floats
from variants.speech.simulate import Turn

from .labels import rttm_lines
from .recording import SAMPLE_RATE, CorpusError


def check_free(folder: Path) -> None:
    """CorpusError unless `folder` is new or empty and can be made."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise CorpusError(f"{folder}: exists and is not an empty folder; choose another or remove it")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to write to, which becomes `folder` when all went well and vanishes otherwise."""
    check_free(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        partial.chmod(0o755)
    except OSError as error:
        raise CorpusError(f"{folder}: cannot be written ({error.strerror})") from None
    try:
        yield partial
        partial.replace(folder)  # atomic; an empty folder may be there
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_conversation(
    folder: Path, name: str, samples: Floats, turns: Sequence[Turn], suffix: str = ".flac", step: int = 1
) -> None:
    """`name` as 16-bit mono audio and RTTM in `folder`; `samples` (samples,) in [-1, 1] at 16 kHz.

    A power of two as `step` rounds to multiples of it, which FLAC stores in so many bits less.
    """
    rounded = np.round(samples * (32767 / step)).astype(np.int32) * step
    pcm = np.clip(rounded, -32768, 32767 // step * step).astype(np.int16)
    soundfile.write(folder / f"{name}{suffix}", pcm, SAMPLE_RATE, subtype="PCM_16")
    (folder / f"{name}.rttm").write_text(rttm_lines(name, turns), encoding="utf-8")
