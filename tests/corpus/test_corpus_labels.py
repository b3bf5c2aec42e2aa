"""RTTM and UEM as people have them: a bad line costs the recording it names, and what is mended is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.accuracy.errors import components
from bench.corpus import CorpusError, embedded, load_corpus
from bench.corpus.__main__ import main
from bench.corpus.labels import merged, plain, read_rttm, read_uem
from variants.speech.simulate import Turn

Write = Callable[..., Path]
LINE = "SPEAKER {} 1 {} {} <NA> <NA> {} <NA> <NA>\n"
A, B, C = (LINE.format(name, 1, 2, "eve") for name in "abc")


@pytest.fixture
def joint(corpus: Write) -> Callable[[str], tuple[list[str], list[str]]]:
    """Three recordings and one RTTM for all of them: the names that are left, and the problems."""

    def load(text: str) -> tuple[list[str], list[str]]:
        for name in "abc":
            folder = corpus(name, rttm=None)
        (folder / "all.rttm").write_text(text)
        recordings, problems = load_corpus(folder)
        assert all(recording.reference is not None for recording in recordings)
        return [recording.name for recording in recordings], problems

    return load


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (LINE.format("b", "6.500", "-1.500", "s9"), "all.rttm, line 4: duration '-1.500' is not a number"),
        (LINE.format("b", "nan", 1, "s9"), "all.rttm, line 4: start 'nan'"),
        (LINE.format("b", 1, "inf", "s9"), "all.rttm, line 4: duration 'inf'"),
        (LINE.format("b", 1e10, 1, "s9"), "all.rttm, line 4: start '10000000000.0' is not a number of seconds from 0"),
        (LINE.format("b", "1_0", 1, "s9"), "all.rttm, line 4: start '1_0'"),  # ten, says Python
        (LINE.format("b", 1, 1, "John Smith"), "all.rttm, line 4: 11 fields, expected 10 (a name with a space?"),
        ("turn b 1 1 1 <NA> <NA> s9 <NA> <NA>\n", "all.rttm, line 4: unknown type 'turn'"),
        ("SPEAKER b 1 1.0\n", "all.rttm, line 4: 4 fields"),
        (LINE.format("b", 1, 1, "x\x1b[2Jy"), "all.rttm, line 4: control characters"),
        (LINE.format("b.wav", 1, 1, "s9"), "all.rttm, line 4: 'b.wav' and 'b' would be one recording, b"),
    ],
)
def test_a_bad_line_costs_the_recording_it_names(
    joint: Callable[[str], tuple[list[str], list[str]]], line: str, reason: str
) -> None:
    names, problems = joint(A + B + C + line)
    assert names == ["a", "c"]
    (problem,) = problems
    assert reason in problem and problem.endswith("; b.wav is left out")


def test_a_recording_with_no_other_line_than_a_bad_one(joint: Callable[[str], tuple[list[str], list[str]]]) -> None:
    assert joint(A + B + LINE.format("c", 1, -1, "eve"))[0] == ["a", "b"]


@pytest.mark.parametrize("line", ["rubbish\n", "SPEAKER\n", "SPEAKER 1 1.0\n"])
def test_a_line_that_may_be_about_anybody_costs_all(
    joint: Callable[[str], tuple[list[str], list[str]]], line: str
) -> None:
    names, problems = joint(A + B + line + C)
    assert names == [] and len(problems) == 3 and all("all.rttm, line 3: " in problem for problem in problems)


def test_a_bad_line_in_a_joint_uem(corpus: Write) -> None:
    for name in "ab":
        folder = corpus(name)
    (folder / "all.uem").write_text("a 1 0 5\nb 1 0 4\na 1 5 2\n")
    (recording,), problems = load_corpus(folder)
    assert recording.name == "b" and [s.end for s in recording.uem] == [4]
    assert "all.uem, line 3: end 2 is not after start 5; a.wav is left out" in problems[0]


def test_everything_left_out_is_no_success(corpus: Write, capsys: pytest.CaptureFixture[str]) -> None:
    folder = corpus("a", rttm=LINE.format("a", 1, -1, "eve"))
    assert main(["describe", str(folder)]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and "line 1: duration '-1'" in printed.err and "no recording is left" in printed.err


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_encodings_and_ends_of_line(tmp_path: Path, encoding: str, ending: str) -> None:
    text = LINE.format("a", 1, 2, "José") + ";; a comment\n" + LINE.format("a", 4, 1, "zoë").replace(" ", "\t")
    (tmp_path / "a.rttm").write_bytes(text.replace("\n", ending).encode(encoding))
    assert read_rttm(tmp_path / "a.rttm") == {"a": [Turn("José", 1, 3), Turn("zoë", 4, 5)]}
    (tmp_path / "a.uem").write_bytes(f";; scored{ending}a 1 0 5{ending}".encode(encoding))
    assert read_uem(tmp_path / "a.uem") == {"a": [(0, 5)]}


def test_files_that_are_no_labels(tmp_path: Path) -> None:
    path = tmp_path / "a.rttm"
    for content, reason in ((b"", "no speaker"), (b";; \n", "no speaker"), ("José".encode("latin-1"), "not text in")):
        path.write_bytes(content)
        with pytest.raises(CorpusError, match=reason):
            read_rttm(path)
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse: nothing on the disk
    with pytest.raises(CorpusError, match="larger than 128 MB"):
        read_rttm(path)


def test_names_are_one_however_they_are_spelt(corpus: Write) -> None:
    folder = corpus("cafe\u0301", rttm=None)  # as macOS stores it
    (folder / "all.rttm").write_text(LINE.format("data/caf\u00e9.WAV", 1, 2, "eve"))
    (recording,), problems = load_corpus(folder, files=["cafe\u0301"])
    assert problems == [] and recording.name == "caf\u00e9" and recording.reference is not None
    assert [plain(name) for name in ("x/y.flac", "a.b", ".wav", "a.mp3", "")] == ["y", "a.b", ".wav", "a.mp3", ""]


def test_turns_of_one_speaker_at_once_are_merged() -> None:
    turns = [Turn("b", 2, 3), Turn("a", 0, 4), Turn("a", 1, 2), Turn("a", 3, 5), Turn("a", 5, 6), Turn("b", 2, 3)]
    # a: 0-4, 1-2 and 3-5 overlap; 5-6 only touches them. b: the same turn twice.
    assert merged(turns) == ([Turn("a", 0, 5), Turn("b", 2, 3), Turn("a", 5, 6)], 3)


def test_a_doubled_rttm_is_the_same_reference(tmp_path: Path) -> None:
    source = next(recording for recording in embedded("test") if recording.name == "budget")
    (tmp_path / "budget.flac").symlink_to(source.path)
    text = source.path.with_suffix(".rttm").read_text()
    (tmp_path / "budget.rttm").write_text(text + text)
    (doubled,), problems = load_corpus(tmp_path)
    count = len(text.splitlines())
    assert problems == [] and doubled.notes == (f"{count} turns overlap or repeat another of the same speaker: merged",)
    assert components(source.reference, doubled.reference, None, 0.0, False).error == 0
    assert components(doubled.reference, source.reference, None, 0.0, False).error == 0
    assert doubled.reference.get_timeline() == source.reference.get_timeline()


def test_labels_past_the_end_are_scored_within_the_audio(corpus: Write) -> None:
    """6 s of audio: ann 1-2, eve 5-9 (1 s of it inside), bob 8-40 (none of it)."""
    lines = [LINE.format("a", 1, 1, "ann"), LINE.format("a", 5, 4, "eve"), LINE.format("a", 8, 32, "bob")]
    (recording,), problems = load_corpus(corpus("a", rttm="".join(lines)))
    tracks = recording.reference.itertracks(yield_label=True)
    assert problems == [] and [(s.start, s.end, label) for s, _, label in tracks] == [(1, 2, "ann"), (5, 6, "eve")]
    assert recording.notes == ("labels reach 34 s past the end of the audio (6.0 s): scored within it",)


@pytest.mark.parametrize(("end", "notes"), [(6.09, 0), (6.11, 1), (1e9, 1)])
def test_rounding_past_the_end_is_not_worth_a_note(corpus: Write, end: float, notes: int) -> None:
    (recording,), _ = load_corpus(corpus("a", rttm=LINE.format("a", 1, end - 1, "ann")))
    assert len(recording.notes) == notes and recording.reference.get_timeline().extent().end == 6
    assert all(len(note) < 100 for note in recording.notes)


def test_two_versions_of_labels_and_the_options_that_choose(corpus: Write, capsys: pytest.CaptureFixture[str]) -> None:
    folder = corpus("a", rttm=None)
    for version, speaker, start in (("v2", "ann", 1), ("v3", "bob", 3)):
        (folder / version).mkdir()
        (folder / version / "a.rttm").write_text(LINE.format("a", start, 1, speaker))
        (folder / version / "a.uem").write_text(f"a 1 {start} 6\n")
    assert main(["describe", str(folder)]) == 1
    assert "disagree about it; name the one to use by --uem" in capsys.readouterr().err
    assert main(["describe", str(folder), "--uem", str(folder / "v2")]) == 1
    assert "disagree about it; name the one to use by --rttm" in capsys.readouterr().err
    for rttm in (folder / "v3", folder / "v3" / "a.rttm"):
        assert main(["describe", str(folder), "--uem", str(folder / "v2"), "--rttm", str(rttm)]) == 0
        printed = capsys.readouterr()
        assert "1 (bob)" in printed.out and printed.err == ""
    assert main(["describe", "--rttm", str(folder / "v3")]) == 1
    assert "need a folder" in capsys.readouterr().err
    (folder / "none").mkdir()
    assert main(["describe", str(folder), "--rttm", str(folder / "none")]) == 1
    assert "none: no rttm in it" in capsys.readouterr().err
