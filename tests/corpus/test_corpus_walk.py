"""What lies in a folder: links are followed, nothing hangs, and what cannot be taken is named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.corpus import CorpusError, load_corpus
from bench.corpus.simulation import find_speakers

Write = Callable[..., Path]


@pytest.fixture
def linked(corpus: Write, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of which `audio` is a link to the folder of the test's corpus."""
    folder = tmp_path_factory.mktemp("linked")
    (folder / "audio").symlink_to(corpus("a"))
    return folder


def test_links_to_folders_are_followed(linked: Path) -> None:
    (recording,), problems = load_corpus(linked)
    assert problems == [] and recording.reference is not None
    speakers, problems = find_speakers(linked)
    assert problems == [] and list(speakers) == ["audio"]


def test_each_folder_is_entered_once(linked: Path, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(linked)
    (linked / "again").symlink_to(tmp_path)
    recordings, problems = load_corpus(linked)
    assert [recording.name for recording in recordings] == ["a"] and problems == []


def test_what_is_no_file_is_named_and_not_opened(corpus: Write) -> None:
    folder = corpus("a")
    os.mkfifo(folder / "pipe.wav")
    os.mkfifo(folder / "pipe.rttm")
    (folder / "gone").symlink_to("nowhere")
    (folder / "self.flac").symlink_to("self.flac")
    (folder / "b.wav").mkdir()
    (folder / ".hidden.wav").touch()
    (folder / "b.wav" / "x.wav").write_bytes((folder / "a.wav").read_bytes())  # a folder, whatever its name
    recordings, problems = load_corpus(folder)
    assert [recording.name for recording in recordings] == ["a", "x"]
    assert [problem.removeprefix(f"{folder}/") for problem in problems] == [
        "gone: left out, a link to nothing or not to be looked at",
        "pipe.rttm: left out, no regular file",
        "pipe.wav: left out, no regular file",
        "self.flac: left out, a link to nothing or not to be looked at",
    ]


@pytest.mark.parametrize("name", ["bad\udcff.wav", "new\nline.wav", "tab\t.wav", "line\u2028.wav"])
def test_names_that_cannot_be_printed(corpus: Write, name: str) -> None:
    folder = corpus("a")
    (folder / name).write_bytes((folder / "a.wav").read_bytes())
    recordings, (problem,) = load_corpus(folder)
    assert [recording.name for recording in recordings] == ["a"]
    assert "its name cannot be printed" in problem and problem.isprintable() and problem.encode()


@pytest.mark.parametrize("name", ["a b", "q\"'", "[red]x", "pipe|x", "日本", "a.b.c", "-dash", "%s", "#h", "~"])
def test_names_of_any_other_kind(corpus: Write, name: str) -> None:
    folder = corpus("a")
    (folder / "a.wav").rename(folder / f"{name}.WAV")
    (folder / "a.rttm").rename(folder / f"{name}.RTTM")
    (recording,), problems = load_corpus(folder)
    assert problems == [] and recording.name == name and recording.reference is not None
    assert recording.waveform().shape == (1, 96000)


def test_unreadable_folder_is_named(corpus: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = corpus("a")
    (folder / "locked").mkdir()
    whole = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return whole(path)

    monkeypatch.setattr(os, "scandir", scandir)  # root may read everything
    assert load_corpus(folder)[1] == [f"{folder}/locked: left out, unreadable folder (Permission denied)"]


def test_ways_to_give_a_folder(corpus: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = corpus("a")
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("HOME", str(folder.parent))
    for way in (
        folder.name,
        f"{folder.name}/",
        f"./{folder.name}/.",
        f"~/{folder.name}",
        f"{folder.name}/../{folder.name}",
    ):
        assert len(load_corpus(Path(way), rttm=Path(way), uem=None)[0]) == 1


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("a.wav", "is no folder"),
        ("none", "no such folder"),
        ("x" * 5000, "no such folder"),
        ("nul\0", "no such folder"),
        ("~nobody-of-that-name/x", "no such folder"),
        ("/dev/null", "is no folder"),
    ],
)
def test_what_is_no_corpus_is_refused(corpus: Write, monkeypatch: pytest.MonkeyPatch, way: str, reason: str) -> None:
    monkeypatch.chdir(corpus("a"))
    with pytest.raises(CorpusError, match=reason) as error:
        load_corpus(Path(way))
    assert str(error.value).isprintable()


def test_labels_that_are_no_file_are_refused(corpus: Write) -> None:
    folder = corpus("a")
    os.mkfifo(folder / "pipe")
    with pytest.raises(CorpusError, match="pipe: no regular file"):
        load_corpus(folder, uem=folder / "pipe")
