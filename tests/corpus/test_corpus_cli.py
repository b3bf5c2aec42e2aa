"""`python -m bench.corpus`: what it writes is a corpus; errors are one line; nothing half-written stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.corpus import load_corpus, writing
from bench.corpus.__main__ import main
from bench.corpus.describe import overlap_share
from bench.corpus.simulation import find_speakers


@pytest.fixture(scope="module")
def speech(speakers: dict[str, list[np.ndarray]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Single-speaker speech in LibriSpeech's layout."""
    folder = tmp_path_factory.mktemp("speech")
    for name, utterances in speakers.items():
        (folder / name / "chapter").mkdir(parents=True)
        for part, samples in enumerate(utterances):
            soundfile.write(folder / name / "chapter" / f"{name}-{part}.flac", samples.clip(-1, 1), 16000)
    return folder


def simulate(speech: Path, out: Path, *more: str) -> int:
    return main(["simulate", "--speech", str(speech), "--out", str(out), "--duration", "30", *more])


def failure(capsys: pytest.CaptureFixture[str], status: int) -> str:
    """The one line that a failing command prints."""
    printed = capsys.readouterr().err
    assert status == 1 and printed.count("\n") == 1 and "Traceback" not in printed
    return printed


def test_simulated_folder_is_a_corpus(speech: Path, tmp_path: Path) -> None:
    assert simulate(speech, tmp_path / "out", "--conversations", "3", "--speakers", "2,4", "--seed", "5") == 0
    recordings, problems = load_corpus(tmp_path / "out")
    assert problems == [] and len(recordings) == 3
    for recording in recordings:
        assert recording.duration == 30 and recording.notes == ()
        assert len(recording.reference.labels()) in (2, 4) and 0 < overlap_share(recording) < 0.25


def test_seed_decides_and_fewer_conversations_are_a_prefix(speech: Path, tmp_path: Path) -> None:
    def content(out: str, *more: str) -> dict[str, bytes]:
        assert simulate(speech, tmp_path / out, *more) == 0
        return {path.name: path.read_bytes() for path in sorted((tmp_path / out).iterdir())}

    two = content("two", "--conversations", "2", "--seed", "1", "--format", "wav")
    one = content("one", "--conversations", "1", "--seed", "1", "--format", "wav")
    other = content("other", "--conversations", "1", "--seed", "2", "--format", "wav")
    assert len(two) == 4 and one.items() <= two.items()
    assert set(one.values()).isdisjoint(other.values())


def test_layouts_of_single_speaker_speech(tmp_path: Path) -> None:
    for name in ("ann/1.wav", "ann/2.wav", "ben/chapter/1.flac", "103-1240-0000.flac", "103-1241-0000.flac"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert {name: len(paths) for name, paths in find_speakers(tmp_path)[0].items()} == {"103": 2, "ann": 2, "ben": 1}


def test_usage_errors(speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert "no such folder" in failure(capsys, simulate(tmp_path / "none", out))
    (tmp_path / "empty").mkdir()
    assert "no audio" in failure(capsys, simulate(tmp_path / "empty", out))
    assert "has 4 speakers, 5 were asked for" in failure(capsys, simulate(speech, out, "--speakers", "5"))
    assert "not an empty folder" in failure(capsys, simulate(speech, speech))
    (tmp_path / "file").touch()
    assert "cannot be written" in failure(capsys, simulate(speech, tmp_path / "file" / "out"))
    assert not out.exists()
    for wrong in (["--duration", "1"], ["--conversations", "0"], ["--speakers", "2,x"], ["--overlap", "0.9"]):
        with pytest.raises(SystemExit) as leaving:
            simulate(speech, out, *wrong)
        assert leaving.value.code == 2 and f"argument {wrong[0]}" in capsys.readouterr().err


def test_unusable_speech_is_named_and_left_out(
    speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "speech"
    for name in ("ann", "ben"):
        (folder / name).mkdir(parents=True)
        source = next((speech / name).rglob("*.flac"))
        (folder / name / "good.flac").write_bytes(source.read_bytes())
    (folder / "ann" / "bad.flac").write_bytes(b"noise" * 99)
    soundfile.write(folder / "ben" / "mute.wav", np.zeros(16000), 16000)
    soundfile.write(folder / "ben" / "nan.wav", np.full(16000, np.nan), 16000, subtype="FLOAT")
    assert simulate(folder, tmp_path / "out", "--conversations", "2", "--speakers", "2") == 0
    printed = capsys.readouterr().out
    for reason in ("bad.flac: unreadable audio", "mute.wav: no audible speech", "nan.wav: NaN or infinite"):
        assert printed.count(reason) == 1
    (folder / "ann" / "good.flac").unlink()
    assert "speaker ann has no usable file" in failure(capsys, simulate(folder, tmp_path / "x", "--speakers", "2"))
    assert not (tmp_path / "x").exists()


def test_interrupted_run_leaves_nothing(speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def full_disk(folder: Path, *_: object, **__: object) -> None:
        written.append(list(folder.iterdir()))
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        (folder / "first.flac").touch()

    monkeypatch.setattr("bench.corpus.simulation.write_conversation", full_disk)
    assert simulate(speech, tmp_path / "out", "--conversations", "3") == 1
    assert [path.name for path in written[1]] == ["first.flac"] and not list(tmp_path.iterdir())


def test_written_audio_never_wraps_around(tmp_path: Path) -> None:
    writing.write_conversation(tmp_path, "x", np.array([1.0, -1.0, 0.5, 2.0]), [], ".wav", step=64)
    pcm = soundfile.read(tmp_path / "x.wav", dtype="int16")[0]
    assert pcm.tolist() == [32704, -32768, 16384, 32704]  # multiples of 64 nearest to 32767, -32767, 16383.5


def test_describe(speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(speech, tmp_path / "out", "--conversations", "1", "--speakers", "2") == 0
    (tmp_path / "out" / "bad.wav").touch()
    capsys.readouterr()
    assert main(["describe", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert "| simulated-0-000 | 30.0 | 2 (" in printed.out and "bad.wav: unreadable" in printed.err
    assert "no such folder" in failure(capsys, main(["describe", str(tmp_path / "none")]))


def test_names_with_spaces_read_back(speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "speech"
    for name, source in (("John  Smith", "ann"), ("Ann\u00a0Lee", "ben")):
        (folder / name).mkdir(parents=True)
        (folder / name / "1.flac").write_bytes(next((speech / source).rglob("*.flac")).read_bytes())
    assert simulate(folder, tmp_path / "out", "--conversations", "1", "--speakers", "2") == 0
    (recording,), problems = load_corpus(tmp_path / "out")
    assert problems == [] and recording.reference.labels() == ["Ann_Lee", "John_Smith"]
    (folder / "John_Smith").mkdir()
    (folder / "John_Smith" / "1.flac").write_bytes(b"")
    assert "would both be John_Smith" in failure(capsys, simulate(folder, tmp_path / "x"))
