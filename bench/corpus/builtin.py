"""Speech that is there without any download: pyannote.audio's sample and the embedded corpus."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from .folder import load_corpus
from .recording import CorpusError, Recording

EMBEDDED = Path(__file__).parent / "embedded"
SPLITS = ("dev", "test")


def embedded(split: str) -> list[Recording]:
    """The conversations of `dev` (to choose thresholds and checkpoints on) or `test` (to report)."""
    if split not in SPLITS:
        raise CorpusError(f"no split named {split}; known: {', '.join(SPLITS)}")
    return _whole(EMBEDDED / split)


def sample() -> list[Recording]:
    """The 30 s of telephone speech between two speakers that pyannote.audio brings."""
    spec = find_spec("pyannote.audio")  # finds the folder without running pyannote.audio
    if spec is None or not spec.submodule_search_locations:
        raise CorpusError(
            "pyannote.audio is not installed, and with it its sample; install this project's requirements"
        )
    return _whole(Path(spec.submodule_search_locations[0]) / "sample")


def default_corpus() -> list[Recording]:
    """What is scored unless a corpus is given: the sample and the embedded `test` split."""
    return sample() + embedded("test")


def _whole(folder: Path) -> list[Recording]:
    recordings, problems = load_corpus(folder)
    if problems:
        raise CorpusError(f"the installation is damaged: {problems[0]}")
    return recordings
