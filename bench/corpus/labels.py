"""RTTM and UEM files: strict reading that names the line at fault, and writing."""

from __future__ import annotations

import codecs
import math
import unicodedata
from collections.abc import Callable, Iterable
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

from variants.speech.simulate import Turn

from .recording import AUDIO, CorpusError
from .walk import printable

Row = TypeVar("Row")
# The types of the RTTM specification (NIST, RT-09); only SPEAKER says who speaks when.
OTHER_TYPES = frozenset(
    ("NOSCORE", "NO_RT_METADATA", "SEGMENT", "LEXEME", "NON-LEX", "NON-SPEECH", "FILLER")
) | frozenset(("EDIT", "IP", "SU", "CB", "A/P", "SPKR-INFO"))
LARGEST = 1 << 27  # bytes
LONGEST = 1e9  # seconds; far above, floating point loses the durations
SHORTEST = 1e-6  # seconds: what pyannote.core takes for a segment of no length


class _BadTimeError(ValueError):
    """A line whose fields are all there, so that its uri is one, but whose times are wrong."""


def read_rttm(path: Path) -> dict[str, list[Turn] | str]:
    """Turns of each uri, or what is wrong with them; comments (`;;`), other RTTM types and empty turns are passed over.

    A malformed line spoils the uri that it names, and all of them where it cannot be told whom it names. Uris are
    without folder and audio suffix. Raises CorpusError for a file that is no text or without any speaker.
    """
    return _read(path, _rttm_row, 1, "no speaker at all (no SPEAKER line of positive duration)")


def read_uem(path: Path) -> dict[str, list[tuple[float, float]] | str]:
    """Scored regions [start, end) in seconds of each uri, or what is wrong with them, as for `read_rttm`."""
    return _read(path, _uem_row, 0, "empty UEM (no line of the form `uri channel start end`)")


def rttm_lines(uri: str, turns: Iterable[Turn]) -> str:
    """The turns of one recording in RTTM, to the millisecond. Neither uri nor speakers may hold white space."""
    return "".join(
        f"SPEAKER {uri} 1 {turn.start:.3f} {turn.end - turn.start:.3f} <NA> <NA> {turn.speaker} <NA> <NA>\n"
        for turn in turns
    )


def merged(turns: Iterable[Turn]) -> tuple[list[Turn], int]:
    """Turns by time in which nobody speaks twice at once, and how many of them went into another."""
    by_time = attrgetter("start", "end")
    kept: list[Turn] = []
    last: dict[str, int] = {}
    gone = 0
    for turn in sorted(turns, key=by_time):
        i = last.get(turn.speaker)
        if i is not None and turn.start < kept[i].end - SHORTEST:
            kept[i] = Turn(turn.speaker, kept[i].start, max(kept[i].end, turn.end))
            gone += 1
        else:
            last[turn.speaker] = len(kept)
            kept.append(turn)
    return sorted(kept, key=by_time), gone


def plain(name: str) -> str:
    """A recording's name as uri, file name or option may spell it: no folder, no audio suffix, composed (NFC)."""
    stem, dot, suffix = name.rstrip("/").rpartition("/")[2].rpartition(".")
    return unicodedata.normalize("NFC", stem if f".{suffix.lower()}" in AUDIO and stem else stem + dot + suffix)


def _rttm_row(fields: list[str]) -> Turn | None:
    if fields[0] in OTHER_TYPES:
        return None
    if fields[0] != "SPEAKER":
        raise ValueError(f"unknown type {fields[0][:20]!r}, expected SPEAKER")
    if not 8 <= len(fields) <= 10:
        more = " (a name with a space? write it with an underscore)" if len(fields) > 10 else ""
        raise ValueError(f"{len(fields)} fields, expected 10{more}")
    start, duration = _seconds(fields[3], "start"), _seconds(fields[4], "duration")
    return Turn(fields[7], start, start + duration) if duration > SHORTEST else None


def _uem_row(fields: list[str]) -> tuple[float, float]:
    if len(fields) != 4:
        raise ValueError(f"{len(fields)} fields, expected `uri channel start end`")
    start, end = _seconds(fields[2], "start"), _seconds(fields[3], "end")
    if end <= start:
        raise _BadTimeError(f"end {end:g} is not after start {start:g}")
    return start, end


def _seconds(text: str, what: str) -> float:
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan  # Python reads 1_0 as ten
    except ValueError:
        value = math.nan
    if not 0 <= value <= LONGEST:
        raise _BadTimeError(f"{what} {text[:20]!r} is not a number of seconds from 0 to {LONGEST:g}")
    return value


def _read(path: Path, parse: Callable[[list[str]], Row | None], where: int, empty: str) -> dict[str, list[Row] | str]:
    """Rows by uri, the field `where`; of a uri with a malformed line, what is wrong with the first one."""
    rows: dict[str, list[Row]] = {}
    spelt: dict[str, str] = {}
    faults: list[tuple[str | None, str]] = []
    for number, line in enumerate(_text(path).split("\n"), 1):
        fields = line.split()
        if not fields or fields[0].startswith(";;"):
            continue
        uri = plain(fields[where]) if len(fields) > where else ""
        try:
            if printable(" ".join(fields)) != " ".join(fields):
                raise ValueError("control characters")
            row = parse(fields)
            if row is not None and spelt.setdefault(uri, fields[where]) != fields[where]:
                raise _BadTimeError(f"{fields[where]!r} and {spelt[uri]!r} would be one recording, {uri}")
        except ValueError as error:
            whom = uri if isinstance(error, _BadTimeError) or uri in (*rows, plain(path.stem)) else None
            faults.append((whom, f"{path}, line {number}: {error}"))
        else:
            if row is not None:
                rows.setdefault(uri, []).append(row)
    table: dict[str, list[Row] | str] = {**rows}
    for whom, fault in reversed(faults):
        table |= dict.fromkeys([plain(path.stem), *rows] if whom is None else [whom], fault)
    if not table:
        raise CorpusError(f"{path}: {empty}")
    return table


def _text(path: Path) -> str:
    """A file's text, its ends of line as "\\n"."""
    try:
        if path.stat().st_size > LARGEST:
            raise CorpusError(f"{path}: left out, larger than {LARGEST >> 20} MB")
        content = path.read_bytes()
        utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = content.decode("utf-16" if utf16 else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = "not text in UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise CorpusError(f"{path}: unreadable ({reason})") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
