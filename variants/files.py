"""Files that are there whole or not at all, in UTF-8 whatever the locale, as is what commands print."""

import io
import os
import sys
import tempfile
from pathlib import Path

from .errors import UserError


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file, text in UTF-8, so that it is there whole or not at all. Pipes and devices are just written to.

    Bytes of a file's name that are no UTF-8, which Python has as lone surrogates, are written as they were.
    """
    data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    if _special(path):
        path.write_bytes(data)
        return
    temporary = _temporary(path)
    try:
        temporary.write_bytes(data)
        temporary.chmod(0o644)  # as any other file, not only for this user
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def utf8_output() -> None:
    """Let a command print any text: in UTF-8, or in the encoding of a terminal as far as that goes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            if stream.isatty() and stream.encoding != "ascii":
                stream.reconfigure(errors="replace")
            else:
                stream.reconfigure(encoding="utf-8", errors="surrogateescape")


def check_writable(path: Path, option: str) -> None:
    """UserError in one line if `write_atomically` could not write there, as the option says; to be called in time."""
    try:
        if path.is_dir():
            raise UserError(f"{option} {path}: this is a folder; name the file to write")
        if not _special(path):
            _temporary(path).unlink()
    except OSError as error:
        raise UserError(f"{option} {path}: cannot be written there ({error.strerror})") from None


def _special(path: Path) -> bool:
    """Whether this is a pipe, a terminal or the like, which must not be replaced by a file."""
    return path.exists() and not path.is_file()


def _temporary(path: Path) -> Path:
    """A new file beside `path`, whose folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(handle)
    return Path(temporary)
