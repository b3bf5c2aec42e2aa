"""A folder of recordings: audio, with RTTM and UEM found by name; what is bad is named, the rest goes on."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from variants.speech.simulate import Turn

from .labels import SHORTEST, merged, plain, read_rttm, read_uem
from .recording import AUDIO, CHUNK, CorpusError, Recording, probe
from .walk import mode, printable, walk

if TYPE_CHECKING:
    from pyannote.core import Annotation, Timeline

OTHER_AUDIO = frozenset((".mp3", ".m4a", ".aac", ".mp4", ".opus", ".wma", ".aiff", ".sph"))
NO_REFERENCE = "no reference: latency and label disagreement only"
BEYOND = 0.1  # seconds that labels may reach past the audio unsaid: as much as rounding and codecs do
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
    folder = _expanded(folder)
    if not stat.S_ISDIR(mode(folder)):
        raise CorpusError(f"{printable(folder)}: {'is no folder' if mode(folder) else 'no such folder'}")
    found, problems = walk(folder, AUDIO | OTHER_AUDIO | {".rttm", ".uem"})
    audio: dict[str, Path] = {}
    for path in found:
        if path.suffix.lower() in OTHER_AUDIO:
            problems.append(f"{path}: left out, {path.suffix} is not read; convert it to wav, flac or ogg")
        elif path.suffix.lower() in AUDIO and audio.setdefault(plain(path.name), path) != path:
            problems.append(f"{path}: left out, {audio[plain(path.name)]} has the same name")
    if not audio:
        raise CorpusError("; ".join([f"{folder}: no audio (wav, flac or ogg) in it", *problems]))
    files = None if files is None else [plain(name) for name in files]
    unknown = [name for name in files or () if name not in audio]
    if unknown:
        raise CorpusError(f"{folder}: no recording named {', '.join(unknown)}; known: {', '.join(audio)}")

    turns = _Labels(_label_files(rttm, found, ".rttm", problems), read_rttm, "--rttm")
    regions = _Labels(_label_files(uem, found, ".uem", problems), read_uem, "--uem")
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
    if spoken is None:
        return Recording(name, path, None, uem, duration, (*notes, NO_REFERENCE))
    inside = [Turn(t.speaker, t.start, min(t.end, duration)) for t in spoken[1] if t.start < duration - SHORTEST]
    kept, gone = merged(inside)
    reference = _annotation(name, kept)
    if not reference.crop(uem or _timeline(name, [(0.0, duration)], duration)).labels():
        raise CorpusError(f"{spoken[0]}: no speaker within {'the UEM of ' if uem else ''}{path}")
    if gone:
        notes += (f"{gone} turns overlap or repeat another of the same speaker: merged",)
    if (beyond := max(turn.end for turn in spoken[1]) - duration) > BEYOND:
        notes += (f"labels reach {beyond:.5g} s past the end of the audio ({duration:.1f} s): scored within it",)
    return Recording(name, path, reference, uem, duration, notes)


class _Labels(Generic[Row]):
    """Label files of one kind, each read once, and the search for those of a recording; `option` names others."""

    def __init__(self, paths: Iterable[Path], read: Callable[[Path], dict[str, list[Row] | str]], option: str) -> None:
        self.option = option
        self.tables: dict[Path, dict[str, list[Row] | str]] = {}
        for path in paths:
            try:
                self.tables[path] = read(path)
            except CorpusError as error:
                self.tables[path] = {plain(path.stem): str(error)}

    def find(self, audio: Path) -> tuple[Path, list[Row]] | None:
        """The file and rows of an audio file; CorpusError if they are malformed or several files disagree."""
        for name in _aliases(plain(audio.name)):
            hits = {path: table[name] for path, table in self.tables.items() if name in table}
            for path, table in self.tables.items():  # a file of its name about one recording, whatever the uri
                if plain(path.stem) == name and len(table) == 1:
                    hits.setdefault(path, next(iter(table.values())))
            # AMI's usual setup has two references per meeting; "only_words" is the one pyannote scores.
            beside = [path for path in hits if path.parent == audio.parent]
            chosen = beside or [path for path in hits if "only_words" in path.parts] or list(hits)
            for fault in (rows for path in chosen if isinstance(rows := hits[path], str)):
                raise CorpusError(f"{fault}; {audio.name} is left out")
            if any(hits[path] != hits[chosen[0]] for path in chosen):
                listed = " and ".join(map(str, chosen[:2]))
                raise CorpusError(f"{audio}: {listed} disagree about it; name the one to use by {self.option}")
            if chosen:
                rows = hits[chosen[0]]
                assert not isinstance(rows, str)
                return chosen[0], rows
        return None

    def broken_elsewhere(self, audio: Mapping[str, Path]) -> list[str]:
        """What is wrong with labels that belong to no recording by name."""
        known = {alias for name in audio for alias in _aliases(name)}
        found: dict[str, None] = {}
        for path, table in self.tables.items():
            faults = {uri: rows for uri, rows in table.items() if isinstance(rows, str)}
            told = {fault for uri, fault in faults.items() if {uri, plain(path.stem)} & known}
            found |= dict.fromkeys(fault for fault in faults.values() if fault not in told)
        return list(found)

    def without_audio(self, audio: Mapping[str, Path]) -> list[str]:
        """Files, or uris of a file about several, that no audio answers to."""
        known = {alias for name in audio for alias in _aliases(name)}
        missing = []
        for path, table in self.tables.items():
            lost = [uri for uri, rows in table.items() if uri not in known and not isinstance(rows, str)]
            if len(lost) == len(table) == 1 and plain(path.stem) not in known:
                missing.append(str(path))
            elif len(table) > 1:
                missing += [f"{uri} (in {path})" for uri in lost]
        return missing


def _aliases(stem: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((stem, stem.split(".")[0])))


def _expanded(path: Path) -> Path:
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path's own raises for a user that there is not


def _label_files(option: Path | None, found: list[Path], suffix: str, problems: list[str]) -> list[Path]:
    if option is None:
        return [path for path in found if path.suffix.lower() == suffix]
    option = _expanded(option)
    kind = mode(option)
    if stat.S_ISDIR(kind):
        below, faults = walk(option, {suffix})
        problems += faults
        if not below:
            raise CorpusError("; ".join([f"{option}: no {suffix[1:]} in it", *faults]))
        return below
    if not stat.S_ISREG(kind):
        raise CorpusError(f"{printable(option)}: {'no regular file' if kind else 'no such file or folder'}")
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
