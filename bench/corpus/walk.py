"""The files below a folder, through links to folders too, and what cannot be taken of them."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Collection
from pathlib import Path


def walk(folder: Path, suffixes: Collection[str]) -> tuple[list[Path], list[str]]:
    """Files below `folder` with one of `suffixes`, sorted, and a line for each that is there but is left out.

    Each folder is entered once, however many links lead to it. Hidden files are passed over.
    """
    found: list[Path] = []
    problems: list[str] = []
    seen: set[tuple[int, int]] = set()

    def unreadable(error: OSError) -> None:
        problems.append(f"{printable(error.filename)}: left out, unreadable folder ({error.strerror})")

    for parent, folders, names in os.walk(folder, onerror=unreadable, followlinks=True):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()
        for path in (Path(parent, name) for name in names if not name.startswith(".")):
            kind = mode(path)
            if not kind:
                problems.append(f"{printable(path)}: left out, a link to nothing or not to be looked at")
            elif path.suffix.lower() in suffixes:
                if not stat.S_ISREG(kind):  # opening a pipe would wait for ever
                    problems.append(f"{printable(path)}: left out, no regular file")
                elif printable(path) != str(path):
                    problems.append(f"{printable(path)}: left out, its name cannot be printed; rename it")
                else:
                    found.append(path)
    return sorted(found), sorted(problems)


def mode(path: Path) -> int:
    """`st_mode` of a path that a user gave; 0 where there is nothing that can be looked at."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0


def printable(given: Path | str) -> str:
    """A text as it is, or as a Python literal if it holds control characters or bytes that are no text."""
    text = str(given)
    if text.isprintable() or not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in text):
        return text
    return ascii(text)
