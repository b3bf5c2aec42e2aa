"""Folders of speech and conversations, and what is said about unusable ones."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from variants.speech.data import (
    Clip,
    Conversation,
    DataError,
    hold_out,
    read_conversations,
    read_protocol,
    read_speech,
    single_speaker_speech,
)
from variants.speech.simulate import Turn


def write(path: Path, seconds: float = 1.0, rate: int = 16000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(int(seconds * rate)) * 2 * np.pi * 440 / rate), rate)


def test_three_layouts_give_the_same_speakers(tmp_path: Path) -> None:
    for name in ("103/1240/103-1240-0000.flac", "103/1241/103-1241-0000.flac", "26/495/26-495-0001.flac"):
        write(tmp_path / "librispeech" / "train-clean-100" / name)
        write(tmp_path / "flat" / Path(name).name)
        write(tmp_path / "folders" / name.split("/")[0] / f"utterance{len(name)}{name[5]}{name[7]}.wav")
    for layout in ("librispeech", "flat", "folders"):
        speech = read_speech(tmp_path / layout)
        assert {speaker: len(clips) for speaker, clips in speech.items()} == {"103": 2, "26": 1}


def test_clip_reads_its_stretch_as_16_khz_mono(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", seconds=2.0, rate=8000)
    samples = Clip(tmp_path / "a.wav", 0.5, 1.5).read()
    expected = 0.1 * np.sin((np.arange(16000) / 16000 + 0.5) * 2 * np.pi * 440)
    assert len(samples) == 16000
    np.testing.assert_allclose(samples[500:-500], expected[500:-500], atol=2e-3)


def test_conversation_and_its_undisturbed_speech(tmp_path: Path) -> None:
    write(tmp_path / "talk.wav", seconds=9)
    (tmp_path / "talk.rttm").write_text(
        "SPEAKER talk 1 0.0 3.0 <NA> <NA> ann <NA> <NA>\n"
        "SPEAKER talk 1 3.0 3.0 <NA> <NA> bob <NA> <NA>\n"
        "SPEAKER talk 1 5.5 3.0 <NA> <NA> ann <NA> <NA>\n"
    )
    (conversation,) = read_conversations(tmp_path)
    assert conversation.turns[2] == Turn("ann", 5.5, 8.5)
    speech = single_speaker_speech([conversation])
    assert speech == {"ann": [Clip(tmp_path / "talk.wav", 0.0, 3.0)]}


def test_overlap_is_with_other_speakers_only() -> None:
    turns = (Turn("ann", 0.0, 4.0), Turn("ann", 3.0, 6.0))
    speech = single_speaker_speech([Conversation("talk", Clip(Path("talk.wav")), turns)])
    assert len(speech["ann"]) == 2


def test_held_out_speakers_are_apart_and_seeded() -> None:
    speech = {f"speaker{i}": [Clip(Path(f"{i}.wav"))] for i in range(8)}
    train, held = hold_out(speech, 3, seed=1)
    assert len(held) == 3
    assert set(train) | set(held) == set(speech)
    assert not set(train) & set(held)
    assert hold_out(speech, 3, seed=1)[1] == held


def test_unusable_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        read_speech(tmp_path / "missing")
    with pytest.raises(DataError, match="no audio"):
        read_speech(tmp_path)
    with pytest.raises(DataError, match=r"no audio file with an \.rttm"):
        read_conversations(tmp_path)
    (tmp_path / "broken.wav").write_bytes(b"not audio")
    with pytest.raises(DataError, match=r"broken\.wav: cannot be read as audio"):
        Clip(tmp_path / "broken.wav").read()
    (tmp_path / "broken.rttm").write_text("SPEAKER broken 1 zero 3.0\n")
    with pytest.raises(DataError, match=r"broken\.rttm:1: not an RTTM line"):
        read_conversations(tmp_path)


def test_protocol_of_pyannote_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyannote.database import registry

    write(tmp_path / "audio" / "meeting.wav", seconds=4)
    (tmp_path / "meeting.rttm").write_text(
        "SPEAKER meeting 1 0.5 2.0 <NA> <NA> ann <NA> <NA>\nSPEAKER meeting 1 2.0 1.5 <NA> <NA> bob <NA> <NA>\n"
    )
    (tmp_path / "train.txt").write_text("meeting\n")
    (tmp_path / "database.yml").write_text(
        "Databases:\n  Made: audio/{uri}.wav\n"
        "Protocols:\n  Made:\n    SpeakerDiarization:\n      tiny:\n"
        "        train:\n          uri: train.txt\n          annotation: meeting.rttm\n"
    )
    for field in ("sources", "databases"):
        monkeypatch.setattr(registry, field, dict(getattr(registry, field)))
    registry.load_database(tmp_path / "database.yml")
    (conversation,) = read_protocol("Made.SpeakerDiarization.tiny")
    assert conversation.name == "meeting"
    assert list(conversation.turns) == [Turn("ann", 0.5, 2.5), Turn("bob", 2.0, 3.5)]
    assert len(conversation.audio.read()) == 4 * 16000
    with pytest.raises(DataError, match=r"Other\.SpeakerDiarization\.none: .*database\.yml"):
        read_protocol("Other.SpeakerDiarization.none")
