"""Whatever bytes a label or audio file holds, it is read, or one line says why not. `make fuzz` tries for longer."""

from __future__ import annotations

import io
from pathlib import Path

import diart.audio  # noqa: F401 - not in the middle of a test: Hypothesis stumbles over modules that it brings
import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.corpus import CorpusError, Recording
from bench.corpus.labels import merged, read_rttm, read_uem, rttm_lines
from bench.corpus.recording import decode, probe
from variants.speech.simulate import Turn

pytestmark = pytest.mark.fuzz
RATE = 16000

word = st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=1, max_size=8)
number = st.floats().map(str) | st.integers(-2, 99).map(str) | st.sampled_from(["1_0", "0x1", "1e400", "-0", "١"])
field = st.sampled_from(["SPEAKER", "<NA>", "a", "a.wav", "d/a", ";;", "SPKR-INFO"]) | number | word
rttm_line = st.lists(field, max_size=11).map(" ".join) | st.builds(
    "SPEAKER {} 1 {} {} <NA> <NA> {} <NA> <NA>".format, st.sampled_from("ab") | word, number, number, word
)
uem_line = st.lists(field, max_size=5).map(" ".join) | st.builds("{} 1 {} {}".format, word, number, number)


def content(line: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    text = st.lists(line | st.text(max_size=20), max_size=6).map("\n".join)
    encoding = st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])
    return st.binary(max_size=60) | st.builds(lambda t, code: t.encode(code, "ignore"), text, encoding)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def one_line(error: CorpusError, path: Path) -> None:
    assert path.name in str(error) and len(str(error).splitlines()) == 1 and str(error).encode()


@settings(deadline=None)
@given(data=content(rttm_line))
@example(data=b"SPEAKER a 1 1e308 1e308 <NA> <NA> x <NA> <NA>")
@example(data=b"SPEAKER a 1 9007199254740992 1 <NA> <NA> x <NA> <NA>")
@example(data=b"SPEAKER a 1 1 1e-9 <NA> <NA> x <NA> <NA>")
@example(data=b"SPEAKER \xf0\x90\x80\x80 1 1 x <NA> <NA> x <NA> <NA>")
def test_rttm(folder: Path, data: bytes) -> None:
    path = folder / "x.rttm"
    path.write_bytes(data)
    try:
        table = read_rttm(path)
    except CorpusError as error:
        return one_line(error, path)
    assert table
    for rows in table.values():
        if isinstance(rows, str):
            one_line(CorpusError(rows), path)
        else:
            assert rows and all(0 <= turn.start < turn.end and turn.speaker.split() == [turn.speaker] for turn in rows)


@settings(deadline=None)
@given(data=content(uem_line))
def test_uem(folder: Path, data: bytes) -> None:
    path = folder / "x.uem"
    path.write_bytes(data)
    try:
        table = read_uem(path)
    except CorpusError as error:
        return one_line(error, path)
    assert table
    for rows in table.values():
        if isinstance(rows, str):
            one_line(CorpusError(rows), path)
        else:
            assert rows and all(0 <= start < end < np.inf for start, end in rows)


turns = st.lists(
    st.builds(
        lambda speaker, start, length: Turn(speaker, start, start + length),
        st.sampled_from("ab"), st.integers(0, 30), st.integers(1, 10),
    ), max_size=12,
)  # fmt: skip


@settings(deadline=None)
@given(turns=turns)
@example(turns=[Turn("a", 0, 1), Turn("a", 0, 2), Turn("b", 0, 1)])
def test_merging_keeps_who_speaks_when(turns: list[Turn]) -> None:
    def seconds(turns: list[Turn]) -> set[tuple[str, int]]:
        return {(turn.speaker, second) for turn in turns for second in range(int(turn.start), int(turn.end))}

    kept, gone = merged(turns)
    assert seconds(kept) == seconds(turns) and len(kept) + gone == len(turns)
    assert sum(turn.end - turn.start for turn in kept) == len(seconds(turns))  # no second twice
    assert merged(kept) == (kept, 0)


@settings(deadline=None)
@given(turns=st.lists(st.builds(Turn, word, st.integers(0, 10**6), st.just(0)), min_size=1), uri=word)
def test_rttm_reads_back(folder: Path, turns: list[Turn], uri: str) -> None:
    written = [Turn(turn.speaker, turn.start / 1000, turn.start / 1000 + 1.5) for turn in turns]
    path = folder / "back.rttm"
    path.write_text(rttm_lines(uri, written), encoding="utf-8")
    (rows,) = read_rttm(path).values()
    assert [turn.speaker for turn in rows] == [turn.speaker for turn in written]
    times = [(turn.start, turn.end) for turn in rows]
    assert times == [pytest.approx((turn.start, turn.end), abs=1e-9) for turn in written]


def sound(kind: str, subtype: str, channels: int = 1) -> bytes:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (1600, channels))
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format=kind, subtype=subtype)
    return file.getvalue()


SOUNDS = {
    "pcm.wav": sound("WAV", "PCM_16"),
    "stereo.wav": sound("WAV", "PCM_24", 2),
    "float.wav": sound("WAV", "FLOAT"),
    "adpcm.wav": sound("WAV", "IMA_ADPCM"),
    "a.flac": sound("FLAC", "PCM_16"),
    "a.ogg": sound("OGG", "VORBIS"),
    "opus.ogg": sound("OGG", "OPUS"),
}
bytes_in_the_head = st.dictionaries(st.integers(0, 120), st.integers(0, 255), max_size=4)


@settings(deadline=None)
@given(
    name=st.sampled_from(sorted(SOUNDS)),
    changed=bytes_in_the_head | st.dictionaries(st.integers(0, 4000), st.integers(0, 255), max_size=20),
    length=st.none() | st.integers(0, 4000),
    more=st.binary(max_size=40),
)
def test_audio(folder: Path, name: str, changed: dict[int, int], length: int | None, more: bytes) -> None:
    data = bytearray(SOUNDS[name])
    for place, value in changed.items():
        data[place % len(data)] = value
    path = folder / name
    path.write_bytes(bytes(data[:length]) + more)
    try:
        samples, _ = decode(path)
        assert samples.ndim == 2 and np.isfinite(samples).all()
    except CorpusError as error:
        one_line(error, path)
    try:
        duration, notes = probe(path, shortest=0.0)
    except CorpusError as error:
        return one_line(error, path)
    assert duration >= 0 and all(len(note.splitlines()) == 1 for note in notes)
    if duration < 0.01:
        return None
    waveform = Recording("x", path, None, None, duration).waveform()
    assert waveform.shape == (1, pytest.approx(duration * RATE, abs=1.5)) and np.isfinite(waveform).all()
