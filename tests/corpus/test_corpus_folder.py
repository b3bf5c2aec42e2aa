"""Folders as users have them: what is good is loaded, what is bad is named with its reason, the rest goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.corpus import CorpusError, load_corpus
from bench.corpus.labels import read_rttm, rttm_lines
from variants.speech.simulate import Turn

Write = Callable[..., Path]
LINE = "SPEAKER {} 1 {} {} <NA> <NA> {} <NA> <NA>\n"


def only_problem(folder: Path, good: list[str], **options: object) -> str:
    """The one problem of a folder, after making sure that the good files were loaded nonetheless."""
    recordings, problems = load_corpus(folder, **options)  # type: ignore[arg-type]
    assert [recording.name for recording in recordings] == good
    assert len(problems) == 1 and "\n" not in problems[0]
    return problems[0]


def turns_of(recording: object) -> list[tuple[float, float, str]]:
    tracks = recording.reference.itertracks(yield_label=True)  # type: ignore[attr-defined]
    return [(segment.start, segment.end, label) for segment, _, label in tracks]


def test_audio_with_rttm_beside_it(corpus: Write) -> None:
    (recording,), problems = load_corpus(corpus("a"))
    assert problems == [] and recording.notes == () and recording.uem is None
    assert recording.duration == 6.0 and recording.reference.uri == "a"
    assert turns_of(recording) == [(0.5, 2.75, "eve")]


def test_audio_without_rttm_is_welcome(corpus: Write) -> None:
    corpus("a")
    recordings, problems = load_corpus(corpus("b", rttm=None))
    assert problems == [] and [recording.reference is None for recording in recordings] == [False, True]
    assert "no reference" in recordings[1].notes[0]


def test_one_rttm_for_all_with_comments_and_blank_lines(corpus: Write) -> None:
    corpus("a", rttm=None)
    folder = corpus("b", rttm=None)
    lines = [";; by hand\n", "\n", LINE.format("b", 1, 2, "bob"), LINE.format("a", 0, 1, "ann")]
    (folder / "all.rttm").write_text("".join(lines) + "SPKR-INFO a 1 <NA> <NA> <NA> adult ann <NA> <NA>\n")
    recordings, problems = load_corpus(folder)
    assert problems == [] and [turns_of(r) for r in recordings] == [[(0, 1, "ann")], [(1, 3, "bob")]]


def test_rttm_option_wins_over_what_lies_in_the_folder(corpus: Write, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("labels") / "mine.rttm"
    other.write_text(LINE.format("a", 3, 1, "zoe"))
    recordings, _ = load_corpus(corpus("a"), rttm=other)
    assert turns_of(recordings[0]) == [(3, 4, "zoe")]
    recordings, _ = load_corpus(corpus("a"), rttm=other.parent)
    assert turns_of(recordings[0]) == [(3, 4, "zoe")]


def test_voxconverse_as_downloaded(corpus: Write) -> None:
    folder = corpus("abjxc", rttm=None)
    for name in ("audio", "dev"):
        (folder / name).mkdir()
    (folder / "abjxc.wav").rename(folder / "audio" / "abjxc.wav")
    (folder / "dev" / "abjxc.rttm").write_text(LINE.format("abjxc", 0.4, 1.6, "spk00"))
    recordings, problems = load_corpus(folder)
    assert problems == [] and turns_of(recordings[0]) == [(0.4, 2.0, "spk00")]


def test_ami_as_downloaded(corpus: Write) -> None:
    folder = corpus("x", rttm=None)
    audio = folder / "amicorpus" / "ES2002a" / "audio" / "ES2002a.Mix-Headset.wav"
    audio.parent.mkdir(parents=True)
    (folder / "x.wav").rename(audio)
    for setup, speaker in (("only_words", "FEE005"), ("word_and_vocalsounds", "MEE006")):
        rttm = folder / "AMI-diarization-setup" / setup / "rttms" / "train" / "ES2002a.rttm"
        rttm.parent.mkdir(parents=True)
        rttm.write_text(LINE.format("ES2002a", 1, 1, speaker))
    uem = folder / "AMI-diarization-setup" / "uems" / "train" / "ES2002a.uem"
    uem.parent.mkdir(parents=True)
    uem.write_text("ES2002a 1 0.000 5.500\n")
    (recording,), problems = load_corpus(folder)
    assert problems == [] and recording.name == "ES2002a.Mix-Headset"
    assert turns_of(recording) == [(1, 2, "FEE005")]
    assert [(segment.start, segment.end) for segment in recording.uem] == [(0, 5.5)]


def test_two_references_that_disagree(corpus: Write) -> None:
    folder = corpus("a", rttm=None)
    for name, speaker in (("one", "ann"), ("two", "bob")):
        (folder / name).mkdir()
        (folder / name / "a.rttm").write_text(LINE.format("a", 1, 1, speaker))
    problem = only_problem(folder, [])
    assert "a.wav" in problem and "one/a.rttm" in problem and "disagree" in problem


def test_uem_is_cropped_to_the_audio(corpus: Write) -> None:
    folder = corpus("a")
    (folder / "a.uem").write_text(";; scored\na 1 1.0 2.0\na 1 5.0 99.0\n")
    recordings, problems = load_corpus(folder)
    assert problems == [] and [(s.start, s.end) for s in recordings[0].uem] == [(1, 2), (5, 6)]


@pytest.mark.parametrize(
    ("uem", "reason"),
    [
        ("a 1 8 9\n", "no region of it lies within"),
        ("a 1 3 4\n", "no speaker within the UEM"),
        ("a 1 2 1\n", "line 1: end 1 is not after start 2"),
        ("a 0 1\n", "line 1: 3 fields"),
        ("", "empty UEM"),
    ],
)
def test_bad_uem(corpus: Write, uem: str, reason: str) -> None:
    corpus("b")
    folder = corpus("a")
    (folder / "a.uem").write_text(uem)
    problem = only_problem(folder, ["b"])
    assert "a.uem" in problem or "a.wav" in problem
    assert reason in problem


def test_names_select_and_order(corpus: Write) -> None:
    for name in "abc":
        corpus(name)
    recordings, problems = load_corpus(corpus("d"), files=["c", "a"])
    assert [recording.name for recording in recordings] == ["c", "a"] and problems == []


def test_unknown_name_lists_the_known(corpus: Write) -> None:
    corpus("a")
    with pytest.raises(CorpusError, match="no recording named z; known: a, b"):
        load_corpus(corpus("b"), files=["a", "z"])


def test_missing_folder_and_folder_without_audio(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="nowhere: no such folder"):
        load_corpus(tmp_path / "nowhere")
    (tmp_path / "a.rttm").write_text(LINE.format("a", 1, 1, "ann"))
    with pytest.raises(CorpusError, match=r"no audio \(wav, flac or ogg\) in it"):
        load_corpus(tmp_path)


def test_missing_rttm_option(corpus: Write, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"none\.rttm: no such file or folder"):
        load_corpus(corpus("a"), rttm=tmp_path / "none.rttm")


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_unreadable_audio(corpus: Write, suffix: str) -> None:
    folder = corpus("good")
    (folder / f"bad.{suffix}").write_bytes(b"this is no audio at all" * 50)
    problem = only_problem(folder, ["good"])
    assert f"bad.{suffix}: unreadable audio" in problem


def test_empty_audio(corpus: Write) -> None:
    folder = corpus("good")
    (folder / "bad.wav").touch()
    assert "bad.wav: unreadable audio" in only_problem(folder, ["good"])


def test_truncated_audio(corpus: Write) -> None:
    corpus("good")
    folder = corpus("cut.flac")
    whole = (folder / "cut.flac").read_bytes()
    (folder / "cut.flac").write_bytes(whole[: len(whole) // 2])
    assert "cut.flac: unreadable audio" in only_problem(folder, ["good"])


def test_audio_shorter_than_a_chunk(corpus: Write) -> None:
    corpus("good")
    folder = corpus("short", seconds=4.99)
    assert "short.wav: 4.99 s of audio, shorter than one chunk of 5 s" in only_problem(folder, ["good"])
    assert len(load_corpus(folder, shortest=4)[0]) == 2
    assert "shorter than one chunk of 7 s" in load_corpus(folder, shortest=7)[1][0]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite(corpus: Write, value: float) -> None:
    folder = corpus("good")
    sound = np.zeros(6 * 16000, dtype=np.float32)
    sound[50000] = value
    soundfile.write(folder / "bad.wav", sound, 16000, subtype="FLOAT")
    assert "bad.wav: NaN or infinite samples" in only_problem(folder, ["good"])


@pytest.mark.parametrize(
    ("rttm", "reason"),
    [
        ("\n;; nothing\n", "a.rttm: no speaker at all"),
        ("SPKR-INFO a 1 <NA> <NA> <NA> adult ann <NA> <NA>\n", "a.rttm: no speaker at all"),
        (LINE.format("a", 1, 0, "ann"), "a.rttm: no speaker at all"),
        (LINE.format("a", 7, 1, "ann"), "a.rttm: no speaker within"),
        (LINE.format("a", 1, 1, "ann") + "SPEAKER a 1 1.0\n", "a.rttm, line 2: 4 fields"),
        (";; x\n" + LINE.format("a", "one", 1, "ann"), "a.rttm, line 2: start 'one' is not a number"),
        (LINE.format("a", 1, "nan", "ann"), "a.rttm, line 1: duration 'nan' is not a number"),
        (LINE.format("a", 1, -2, "ann"), "a.rttm, line 1: duration '-2' is not a number"),
        ("start,end,speaker\n", "a.rttm, line 1: unknown type 'start,end,speaker'"),
        (LINE.format("x", 1, 1, "ann") + LINE.format("y", 1, 1, "ann"), "RTTM without audio: x (in "),
    ],
)
def test_bad_rttm(corpus: Write, rttm: str, reason: str) -> None:
    corpus("b")
    folder = corpus("a", rttm=rttm)
    recordings, problems = load_corpus(folder)
    assert reason in problems[0]
    # An RTTM about other recordings says nothing about this one, which then has no reference; others are errors.
    assert [r.name for r in recordings] == (["a", "b"] if "without audio" in reason else ["b"])


def test_rttm_that_is_not_text(corpus: Write) -> None:
    corpus("b")
    folder = corpus("a")
    (folder / "a.rttm").write_bytes(b"\xff\x00\x81")
    assert "a.rttm: unreadable (not text in UTF-8)" in only_problem(folder, ["b"])


def test_rttm_without_audio(corpus: Write) -> None:
    folder = corpus("a")
    (folder / "ghost.rttm").write_text(LINE.format("ghost", 1, 1, "ann"))
    assert only_problem(folder, ["a"]).startswith("RTTM without audio: ")
    for index in range(9):
        (folder / f"ghost{index}.rttm").write_text(LINE.format(f"ghost{index}", 1, 1, "ann"))
    assert only_problem(folder, ["a"]).endswith("and 5 more")


def test_broken_rttm_of_no_recording_is_still_named(corpus: Write) -> None:
    folder = corpus("a")
    (folder / "other.rttm").write_text("rubbish\n")
    assert "other.rttm, line 1: unknown type" in only_problem(folder, ["a"])


def test_rttm_of_the_same_name_with_another_uri(corpus: Write) -> None:
    recordings, problems = load_corpus(corpus("a", rttm=LINE.format("meeting", 1, 1, "ann")))
    assert problems == [] and turns_of(recordings[0]) == [(1, 2, "ann")]


def test_same_name_twice_and_formats_that_are_not_read(corpus: Write) -> None:
    folder = corpus("a")
    corpus("a.flac")
    (folder / "talk.mp3").write_bytes(b"ID3")
    recordings, problems = load_corpus(folder)
    assert [recording.path.name for recording in recordings] == ["a.flac"]
    assert any("talk.mp3: left out, .mp3 is not read" in problem for problem in problems)
    assert any("a.wav: left out" in problem and "same name" in problem for problem in problems)


def test_rttm_round_trip(tmp_path: Path) -> None:
    turns = [Turn("ann", 0.12, 3.4), Turn("bob", 3.0, 3.01)]
    (tmp_path / "x.rttm").write_text(rttm_lines("x", turns))
    back = read_rttm(tmp_path / "x.rttm")["x"]
    assert [turn.speaker for turn in back] == ["ann", "bob"]
    assert [(turn.start, turn.end) for turn in back] == [pytest.approx((t.start, t.end), abs=5e-4) for t in turns]
