"""RTTM and UEM files: strict reading that names the line at fault, and writing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from variants.speech.simulate import Turn

from .recording import CorpusError

Row = TypeVar("Row")
# The types of the RTTM specification (NIST, RT-09); only SPEAKER says who speaks when.
OTHER_TYPES = frozenset(
    ("NOSCORE", "NO_RT_METADATA", "SEGMENT", "LEXEME", "NON-LEX", "NON-SPEECH", "FILLER")
) | frozenset(("EDIT", "IP", "SU", "CB", "A/P", "SPKR-INFO"))


def read_rttm(path: Path) -> dict[str, list[Turn]]:
    """Turns of each uri; blank lines, `;;` comments, other RTTM types and turns of no length are passed over.

    Raises CorpusError, naming the line, for anything malformed, and for a file without any speaker.
    """
    table = _read(path, _rttm_row)
    if not table:
        raise CorpusError(f"{path}: no speaker at all (no SPEAKER line of positive duration)")
    return table


def read_uem(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Scored regions [start, end) in seconds of each uri; CorpusError as for `read_rttm`."""
    table = _read(path, _uem_row)
    if not table:
        raise CorpusError(f"{path}: empty UEM (no line of the form `uri channel start end`)")
    return table


def rttm_lines(uri: str, turns: Iterable[Turn]) -> str:
    """The turns of one recording in RTTM, to the millisecond."""
    return "".join(
        f"SPEAKER {uri} 1 {turn.start:.3f} {turn.end - turn.start:.3f} <NA> <NA> {turn.speaker} <NA> <NA>\n"
        for turn in turns
    )


def _rttm_row(fields: list[str]) -> tuple[str, Turn] | None:
    if fields[0] in OTHER_TYPES:
        return None
    if fields[0] != "SPEAKER":
        raise ValueError(f"unknown type {fields[0][:20]!r}, expected SPEAKER")
    if not 8 <= len(fields) <= 10:
        raise ValueError(f"{len(fields)} fields, expected 10")
    start, duration = _seconds(fields[3], "start"), _seconds(fields[4], "duration")
    return (fields[1], Turn(fields[7], start, start + duration)) if duration else None


def _uem_row(fields: list[str]) -> tuple[str, tuple[float, float]]:
    if len(fields) != 4:
        raise ValueError(f"{len(fields)} fields, expected `uri channel start end`")
    start, end = _seconds(fields[2], "start"), _seconds(fields[3], "end")
    if end <= start:
        raise ValueError(f"end {end:g} is not after start {start:g}")
    return fields[0], (start, end)


def _seconds(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{what} {text[:20]!r} is not a number of seconds of at least 0")
    return value


def _read(path: Path, parse: Callable[[list[str]], tuple[str, Row] | None]) -> dict[str, list[Row]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = "not text in UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise CorpusError(f"{path}: unreadable ({reason})") from None
    table: dict[str, list[Row]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith(";;"):
            continue
        try:
            row = parse(line.split())
        except ValueError as error:
            raise CorpusError(f"{path}, line {number}: {error}") from None
        if row:
            table.setdefault(row[0], []).append(row[1])
    return table
