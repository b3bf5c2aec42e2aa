"""Audio whose header is wrong: decoded and counted, or left out by name; nothing is lost without a word."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.corpus import CorpusError, load_corpus
from bench.corpus.__main__ import main
from bench.corpus.chained import is_chained
from bench.corpus.simulation import read_speech

Write = Callable[..., Path]
SECONDS, RATE = 8, 16000
PCM = (np.random.default_rng(0).uniform(-0.5, 0.5, SECONDS * RATE) * 32767).astype(np.int16)
BYTES = PCM.nbytes


def wav(announced: int, pcm: np.ndarray = PCM, rate: int = RATE) -> bytes:
    """A WAV file whose header announces so many bytes of samples."""
    form = struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16)
    riff = b"RIFF" + struct.pack("<I", min(announced + 36, 0xFFFFFFFF)) + b"WAVEfmt " + struct.pack("<I", 16) + form
    return riff + b"data" + struct.pack("<I", announced) + pcm.tobytes()


def encoded(kind: str, subtype: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, PCM, RATE, format=kind, subtype=subtype)
    return file.getvalue()


def flac(frames: int) -> bytes:
    """A FLAC file whose header announces so many frames; 0 is what an encoder that writes to a pipe leaves there."""
    data = bytearray(encoded("FLAC", "PCM_16"))
    data[21:26] = bytes([data[21] & 0xF0]) + frames.to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "content", "seconds", "note"),
    [
        ("x.wav", wav(BYTES), 8, None),
        ("x.wav", wav(0xFFFFFFFF), 8, None),  # streamed: until the end
        ("x.wav", wav(0x7FFFFFFF), 8, None),
        ("x.wav", wav(2 * BYTES), 8, "cut off: its header announces 16.0 s"),
        ("x.wav", wav(BYTES, PCM[: 6 * RATE]), 6, "cut off: its header announces 8.0 s"),
        ("x.wav", wav(6 * RATE * 2), 6, f"its header ends the audio {2 * RATE * 2} bytes before the file ends; write"),
        ("x.ogg", encoded("OGG", "VORBIS"), 8, None),
        ("x.wav", encoded("WAV", "PCM_24"), 8, None),
        ("x.wav", encoded("WAV", "ALAW"), 8, None),
        ("x.wav", encoded("WAV", "DOUBLE"), 8, None),
        ("x.wav", encoded("RF64", "PCM_16"), 8, None),
        ("x.wav", encoded("FLAC", "PCM_16"), 8, None),  # whatever the name says
    ],
)
def test_decoded_and_counted(tmp_path: Path, name: str, content: bytes, seconds: float, note: str | None) -> None:
    (tmp_path / name).write_bytes(content)
    (recording,), problems = load_corpus(tmp_path)
    assert problems == [] and recording.duration == seconds
    assert recording.waveform().shape == (1, seconds * RATE)
    notes = recording.notes[:-1]  # the last: no reference
    assert notes == () if note is None else notes[0].startswith(note)


def test_an_ogg_file_without_its_end_is_as_long_as_what_is_left(tmp_path: Path) -> None:
    whole = encoded("OGG", "VORBIS")
    (tmp_path / "x.ogg").write_bytes(whole[: len(whole) * 7 // 8])
    ((recording,), problems), wanted = load_corpus(tmp_path), soundfile.info(tmp_path / "x.ogg").frames
    assert problems == [] and 5 < recording.duration < 8 and recording.waveform().shape == (1, wanted)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.flac", flac(0), "does not say how long it is"),
        ("x.flac", flac(9 * RATE), "unreadable audio after 7 of the 9 s that its header announces"),
        ("x.flac", flac(SECONDS * RATE)[:100_000], "of the 8 s that its header announces"),
        ("x.flac", 2 * encoded("FLAC", "PCM_16"), "several streams in succession, of which only the first"),
        ("x.ogg", 2 * encoded("OGG", "VORBIS"), "several streams in succession"),
        ("x.ogg", encoded("OGG", "OPUS") + encoded("OGG", "VORBIS"), "several streams in succession"),
        ("x.wav", 2 * wav(BYTES), "unreadable audio"),
        ("x.wav", wav(0), f"0.00 s of audio, shorter than one chunk of 5 s; its header ends the audio {BYTES} bytes"),
        ("x.wav", wav(0, PCM[:0]), "0.00 s of audio, shorter than one chunk of 5 s"),
        ("x.wav", wav(BYTES, rate=1), "1 Hz cannot be resampled"),  # to 2 billion samples
        ("x.wav", wav(BYTES, rate=19_997), "19997 Hz cannot be resampled"),  # a prime: the kernel alone takes 2.6 GB
        ("x.wav", wav(BYTES, rate=0), "unreadable audio"),
        ("x.wav", encoded("WAV", "GSM610"), "unreadable audio"),  # not seekable, so not for torchaudio
        ("x.wav", wav(BYTES)[:43], "x.wav"),
        ("x.wav", b"", "unreadable audio"),
        ("x.flac", b"", "unreadable audio"),
        ("x.ogg", b"", "unreadable audio"),
        ("x.wav", bytes(4096), "unreadable audio"),
    ],
)
def test_left_out_by_name(
    corpus: Write, capsys: pytest.CaptureFixture[str], name: str, content: bytes, reason: str
) -> None:
    folder = corpus("good")
    (folder / name).write_bytes(content)
    recordings, problems = load_corpus(folder)
    assert [recording.name for recording in recordings] == ["good"]
    (problem,) = problems
    assert problem.startswith(str(folder / name)) and reason in problem and problem.isprintable()
    (folder / "good.wav").unlink()
    assert main(["describe", str(folder)]) == 1  # no table without a line
    printed = capsys.readouterr()
    assert printed.out == "" and name in printed.err


@pytest.mark.parametrize(("flags", "chained"), [((2, 2, 0, 0, 4, 4), False), ((2, 0, 4, 2, 0, 4), True), ((2,), False)])
def test_streams_side_by_side_are_none_in_succession(tmp_path: Path, flags: tuple[int, ...], chained: bool) -> None:
    (tmp_path / "x.ogg").write_bytes(b"".join(b"OggS\0" + bytes([flag]) + bytes(20) + b"\1\5OggS\2" for flag in flags))
    assert is_chained(tmp_path / "x.ogg") is chained


def test_a_header_of_terabytes_costs_nothing(tmp_path: Path) -> None:
    with (tmp_path / "x.wav").open("wb") as file:
        file.write(wav(BYTES)[:44])
        file.truncate(1 << 40)  # sparse
    (recording,), _ = load_corpus(tmp_path)
    assert recording.duration == 8


@pytest.mark.parametrize("content", [flac(0), flac(9 * RATE)])
def test_speech_to_simulate_from_with_a_wrong_length(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.flac").write_bytes(content)
    with pytest.raises(CorpusError, match=r"x\.flac"):
        read_speech(tmp_path / "x.flac")
