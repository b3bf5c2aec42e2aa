"""A folder of recordings: audio, with RTTM and UEM found by name; what is bad is named, the rest goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from variants.speech.simulate import Turn

from .labels import read_rttm, read_uem
from .recording import CHUNK, CorpusError, Recording, probe

if TYPE_CHECKING:
    from pyannote.core import Annotation, Timeline

AUDIO = frozenset((".wav", ".flac", ".ogg"))
OTHER_AUDIO = frozenset((".mp3", ".m4a", ".aac", ".mp4", ".opus", ".wma", ".aiff", ".sph"))
NO_REFERENCE = "no reference: latency and label disagreement only"
Row = TypeVar("Row")


def load_corpus(
    folder: Path,
    files: Sequence[str] | None = None,
    rttm: Path | None = None,
    uem: Path | None = None,
    shortest: float = CHUNK,
) -> tuple[list[Recording], list[str]]:
    """The recordings of a folder by name, and one line for each file that is left out or out of place.

    Audio (wav, flac, ogg) is looked for in all subfolders; its name is its stem. `rttm` and `uem` are a file
    or a folder (default: `folder`); a recording's labels are those of its name as uri, or of a file of its
    name that holds one uri only, where the name may also be its part before the first dot (AMI's
    `ES2002a.Mix-Headset`). `files` selects names, in that order. Raises CorpusError where nothing can go on:
    no such folder, no audio in it, unknown name in `files`, no such `rttm` or `uem`.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise CorpusError(f"{folder}: no such folder")
    found = _files(folder)
    problems = [
        f"{path}: left out, {path.suffix} is not read; convert it to wav, flac or ogg"
        for path in found
        if path.suffix.lower() in OTHER_AUDIO
    ]
    audio: dict[str, Path] = {}
    for path in found:
        if path.suffix.lower() in AUDIO and audio.setdefault(path.stem, path) != path:
            problems.append(f"{path}: left out, {audio[path.stem]} has the same name")
    if not audio:
        raise CorpusError(f"{folder}: no audio (wav, flac or ogg) in it")
    unknown = [name for name in files or () if name not in audio]
    if unknown:
        raise CorpusError(f"{folder}: no recording named {', '.join(unknown)}; known: {', '.join(audio)}")

    turns = _Labels(_label_files(rttm, found, ".rttm"), read_rttm)
    regions = _Labels(_label_files(uem, found, ".uem"), read_uem)
    recordings = []
    for name in files or audio:
        try:
            recordings.append(_recording(name, audio[name], turns, regions, shortest))
        except CorpusError as error:
            problems.append(str(error))
    problems += turns.broken_elsewhere(audio) + regions.broken_elsewhere(audio)
    if orphans := turns.without_audio(audio):
        more = f" and {len(orphans) - 5} more" if len(orphans) > 5 else ""
        problems.append(f"RTTM without audio: {', '.join(orphans[:5])}{more}")
    return recordings, problems


def _recording(
    name: str, path: Path, turns: _Labels[Turn], regions: _Labels[tuple[float, float]], shortest: float
) -> Recording:
    duration, notes = probe(path, shortest)
    scored = regions.find(path)
    uem = _timeline(name, scored[1], duration) if scored else None
    if scored and not uem:
        raise CorpusError(f"{scored[0]}: no region of it lies within {path} ({duration:.2f} s)")
    spoken = turns.find(path)
    reference = _annotation(name, spoken[1]) if spoken else None
    if spoken and reference is not None:
        inside = reference.crop(uem or _timeline(name, [(0.0, duration)], duration))
        if not inside.labels():
            raise CorpusError(f"{spoken[0]}: no speaker within {'the UEM of ' if uem else ''}{path}")
        late = sum(turn.start >= duration for turn in spoken[1])
        notes += (f"{late} turns begin after the end of the audio",) if late else ()
    return Recording(name, path, reference, uem, duration, notes + (() if spoken else (NO_REFERENCE,)))


class _Labels(Generic[Row]):
    """Label files of one kind, each read once, and the search for those of a recording."""

    def __init__(self, paths: Iterable[Path], read: Callable[[Path], dict[str, list[Row]]]) -> None:
        self.tables: dict[Path, dict[str, list[Row]]] = {}
        self.broken: dict[Path, str] = {}
        for path in paths:
            try:
                self.tables[path] = read(path)
            except CorpusError as error:
                self.broken[path] = str(error)

    def find(self, audio: Path) -> tuple[Path, list[Row]] | None:
        """The file and rows of an audio file; CorpusError if that file is broken or several disagree."""
        for name in _aliases(audio.stem):
            for path, error in self.broken.items():
                if path.stem == name:
                    raise CorpusError(f"{error}; {audio.name} is left out")
            hits = {path: table[name] for path, table in self.tables.items() if name in table}
            for (
                path,
                table,
            ) in self.tables.items():  # a file of its name about one recording, whatever the uri
                if path.stem == name and len(table) == 1:
                    hits.setdefault(path, next(iter(table.values())))
            # AMI's usual setup has two references per meeting; "only_words" is the one pyannote scores.
            beside = [path for path in hits if path.parent == audio.parent]
            chosen = beside or [path for path in hits if "only_words" in path.parts] or list(hits)
            if any(hits[path] != hits[chosen[0]] for path in chosen):
                listed = " and ".join(map(str, chosen[:2]))
                raise CorpusError(f"{audio}: {listed} disagree about it; name one as the RTTM or UEM to use")
            if chosen:
                return chosen[0], hits[chosen[0]]
        return None

    def broken_elsewhere(self, audio: Mapping[str, Path]) -> list[str]:
        """Errors of files that belong to no recording by name."""
        known = {alias for name in audio for alias in _aliases(name)}
        return [error for path, error in self.broken.items() if path.stem not in known]

    def without_audio(self, audio: Mapping[str, Path]) -> list[str]:
        """Files, or uris of a file about several, that no audio answers to."""
        known = {alias for name in audio for alias in _aliases(name)}
        missing = []
        for path, table in self.tables.items():
            lost = [uri for uri in table if uri not in known]
            if len(lost) == len(table) == 1 and path.stem not in known:
                missing.append(str(path))
            elif len(table) > 1:
                missing += [f"{uri} (in {path})" for uri in lost]
        return missing


def _aliases(stem: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((stem, stem.split(".")[0])))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def _label_files(option: Path | None, found: list[Path], suffix: str) -> list[Path]:
    if option is None:
        return [path for path in found if path.suffix.lower() == suffix]
    option = Path(option).expanduser()
    if option.is_dir():
        return [path for path in _files(option) if path.suffix.lower() == suffix]
    if not option.is_file():
        raise CorpusError(f"{option}: no such file or folder")
    return [option]


def _annotation(name: str, turns: Iterable[Turn]) -> Annotation:
    from pyannote.core import Annotation, Segment

    annotation = Annotation(uri=name)
    for track, turn in enumerate(turns):
        annotation[Segment(turn.start, turn.end), track] = turn.speaker
    return annotation


def _timeline(name: str, regions: Iterable[tuple[float, float]], duration: float) -> Timeline:
    from pyannote.core import Segment, Timeline

    segments = [Segment(start, min(end, duration)) for start, end in regions if start < duration]
    return Timeline(segments, uri=name).support()
