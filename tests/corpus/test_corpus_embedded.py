"""The embedded corpus is what its README says; the default corpus needs nothing but this package's requirements."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import soundfile

from bench.corpus import CorpusError, Recording, default_corpus, embedded, sample
from bench.corpus.builtin import EMBEDDED, SPLITS
from bench.corpus.describe import activity, centroid, overlap_share, pitch, recording_table, voice_table
from bench.corpus.render import SECONDS, VOICES, Voice, quantisation_step, read_scripts, synthesise

PARTS = {split: embedded(split) for split in SPLITS}
ALL = PARTS["dev"] + PARTS["test"]


def test_size_and_splits() -> None:
    assert len(PARTS["dev"]) >= 3 and len(PARTS["test"]) >= 5 and len(ALL) >= 8
    assert len({recording.name for recording in ALL}) == len(ALL)
    assert sum(path.stat().st_size for path in EMBEDDED.rglob("*") if path.is_file()) < 6e6
    voices = {split: {v for r in part for v in r.reference.labels()} for split, part in PARTS.items()}
    assert len(voices["dev"] | voices["test"]) >= 10 and not voices["dev"] & voices["test"]
    assert voices["dev"] | voices["test"] == set(VOICES)


@pytest.mark.parametrize("recording", ALL, ids=lambda recording: recording.name)
def test_conversation(recording: Recording) -> None:
    info = soundfile.info(recording.path)
    assert (info.samplerate, info.channels, info.format) == (16000, 1, "FLAC") and recording.notes == ()
    assert recording.duration >= 60
    speakers, active = activity(recording)
    assert 2 <= len(speakers) <= 4 and active.sum(axis=0).min() > 300  # each for 3 s at least
    assert 0.05 <= overlap_share(recording) <= 0.20
    samples = soundfile.read(recording.path)[0]
    assert 0.1 < np.abs(samples).max() < 1
    frames = np.mean(samples.reshape(-1, 160) ** 2, axis=1)
    talking = active.any(axis=1)
    quiet = ~(np.convolve(talking, np.ones(60), mode="full")[: len(talking)] > 0)  # once the room has fallen silent
    assert np.median(frames[talking]) > 4 * np.median(frames[quiet])
    # Speech begins where the reference says: the level rises by the start of the turns after a silence.
    starts = [i for i in np.flatnonzero(np.diff(talking.astype(int)) == 1) if quiet[i - 20 : i + 1].all()]
    rises = [frames[i + 4 : i + 24].mean() / frames[i - 20 : i].mean() for i in starts]
    assert not rises or np.median(rises) > 3


def test_scripts_and_recordings_agree() -> None:
    scripts = read_scripts(EMBEDDED / "texts.txt")
    assert [(script.split, script.name) for script in sorted(scripts, key=lambda s: (s.split, s.name))] == [
        (recording.path.parent.name, recording.name) for recording in ALL
    ]
    for script, recording in ((s, r) for s in scripts for r in ALL if s.name == r.name):
        assert sorted(script.lines) == recording.reference.labels() and recording.duration == SECONDS


def test_readme_and_licences_are_up_to_date() -> None:
    readme, licences = ((EMBEDDED / name).read_text() for name in ("README.md", "LICENSES.md"))
    for part in PARTS.values():
        assert recording_table(part) in readme
        assert voice_table(part) in readme
    for name, voice in VOICES.items():
        (line,) = [line for line in licences.splitlines() if line.startswith(f"| {name} |")]
        assert voice.name in line and voice.engine in line.lower()


def test_unknown_split() -> None:
    with pytest.raises(CorpusError, match="no split named train; known: dev, test"):
        embedded("train")


def test_default_corpus_is_the_sample_and_the_test_split() -> None:
    names = [recording.name for recording in default_corpus()]
    assert names == ["sample"] + [recording.name for recording in PARTS["test"]]
    (clip,) = sample()
    assert clip.duration == 30.0 and len(clip.reference.labels()) == 2
    total = sum(segment.duration for segment in clip.reference.itersegments())
    assert total == pytest.approx(24.35)  # the sum of the fifth column of its RTTM


@pytest.mark.parametrize("recording", [*sample(), *PARTS["dev"]], ids=lambda recording: recording.name)
def test_reference_is_what_pyannote_reads(recording: Recording) -> None:
    from pyannote.database.util import load_rttm

    theirs = load_rttm(recording.path.with_suffix(".rttm"))[recording.name]
    assert recording.reference.uri == theirs.uri
    assert list(map(str, recording.reference.itersegments())) == list(map(str, theirs.itersegments()))
    assert [label for *_, label in recording.reference.itertracks(yield_label=True)] == [
        label for *_, label in theirs.itertracks(yield_label=True)
    ]


def test_pitch_and_centroid_of_known_sounds() -> None:
    time = np.arange(16000) / 16000
    saw = sum(np.sin(2 * np.pi * 125 * k * time) / k for k in range(1, 20))
    assert pitch(saw) == pytest.approx(125, rel=0.02)
    two = np.sin(2 * np.pi * 500 * time) + np.sin(2 * np.pi * 1500 * time)
    assert centroid(two) == pytest.approx(1000, rel=0.01)


def test_quantisation_step_follows_the_quietest_frames() -> None:
    loud = np.random.default_rng(0).standard_normal(16000) * 0.1
    loud[:4000] = np.tile([1.0, -1.0], 2000) * (40.5 / 32767)  # a quarter of the frames at an RMS of 40.5 steps
    assert quantisation_step(loud) == 32
    assert quantisation_step(np.zeros(16000)) == 1


def test_bad_script_names_the_line(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("script") / "texts.txt"
    for text, reason in (
        ("== train/x\n", "line 1: no split named train"),
        ("rms: hello\n", "line 1: expected"),
        ("== dev/x\nrms: hello\nnobody: hello\n", "line 3: expected"),
    ):
        path.write_text(text)
        with pytest.raises(CorpusError, match=reason):
            read_scripts(path)


def test_missing_engine_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    for name in ("rms", "kal", "tom"):
        with pytest.raises(CorpusError, match=r"cannot speak with voice .* apt-get install flite festival"):
            synthesise(VOICES[name], "hello")


@pytest.mark.skipif(not shutil.which("espeak-ng"), reason="needs espeak-ng: apt-get install espeak-ng")
def test_synthesis_is_speech_at_16_khz_and_repeatable() -> None:
    first, again = (synthesise(VOICES["tom"], "One, two, three, four, five.") for _ in range(2))
    assert np.array_equal(first, again) and first.dtype == np.float32
    assert 1 < len(first) / 16000 < 5 and 60 < pitch(first) < 140
    with pytest.raises(CorpusError, match="apt-get install"):  # espeak-ng itself would take its default voice
        synthesise(Voice("espeak-ng", "en-us+nosuch"), "hello")
