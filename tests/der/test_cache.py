"""The cache's keys and files: what makes a difference, what survives, what is left behind."""

import copy
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pyannote.core import Annotation, Segment, Timeline
from torch import nn

from bench.accuracy import cache
from bench.accuracy.der import FileScore
from bench.accuracy.errors import Components
from bench.accuracy.rows import Row
from bench.corpus import Recording
from variants import build
from variants.files import write_atomically

SCORE = FileScore(
    "a",
    Components(10.5, 1.25, 0.1, 2.0),
    Components(9.0, 0.5, 0.0, 0.0),
    0.9,
    0.1 + 0.2,
    (0.25, 1e-9),
    ((0, 1.5, "x"),),
    cosines=((0.9, 2), (1.0, 3)),
    worst=(Row(-2.5, 2.5, 1, 0.75, 0.9),),
)


def test_digest_tells_parts_apart() -> None:
    assert cache.digest(b"ab", b"c") != cache.digest(b"a", b"bc")
    assert cache.digest("a", 1) != cache.digest("a", 2)
    assert cache.digest("a", 1) == cache.digest("a", 1)
    assert len(cache.digest()) == 64


def test_model_digest_depends_on_weights_and_structure() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    digest = cache.model_digest(model)
    assert digest is not None
    assert cache.model_digest(copy.deepcopy(model)) == digest
    changed = copy.deepcopy(model)
    changed[0].weight.data[2, 3] += 1e-6
    assert cache.model_digest(changed) != digest
    other = nn.Sequential(copy.deepcopy(model[0]), nn.LeakyReLU())
    assert other.state_dict().keys() == model.state_dict().keys()
    assert cache.model_digest(other) != digest
    assert cache.model_digest(object()) is None


def test_variants_have_their_own_digests(stock: Any) -> None:
    names = [
        "baseline",
        "distilled",
        "distilled-pruned-structured",
        "distilled-pruned-unstructured",
        "distilled-fused",
        "distilled-int8",
    ]
    digests = [cache.model_digest(build(name, stock)) for name in names]
    assert None not in digests
    assert len(set(digests)) == len(names)
    assert cache.model_digest(build("baseline-twin", stock)) == digests[0]
    assert cache.model_digest(build("distilled-int8", stock)) == digests[-1]


def test_onnx_digest_is_that_of_its_file(tmp_path: Path) -> None:
    def model(content: bytes) -> Any:
        (tmp_path / "model.onnx").write_bytes(content)
        return SimpleNamespace(model=SimpleNamespace(path=tmp_path / "model.onnx"))

    assert cache.model_digest(model(b"one")) == cache.model_digest(model(b"one")) != cache.model_digest(model(b"two"))


def test_recording_digest_depends_on_audio_reference_and_uem(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"

    def digest(audio: bytes = b"audio", end: float = 2.0, speaker: str = "ann", uem: float | None = None) -> str:
        path.write_bytes(audio)
        reference = Annotation()
        reference[Segment(0, end)] = speaker
        scored = None if uem is None else Timeline([Segment(0, uem)])
        return cache.recording_digest(Recording("a", path, reference, scored, 9.0))

    others = [digest(audio=b"Audio"), digest(end=2.01), digest(speaker="ben"), digest(uem=5.0), digest(uem=6.0)]
    assert len({digest(), *others}) == 6
    assert digest() == digest()


def test_code_digest_depends_on_code(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cache.code_digest()
    assert cache.code_digest() == before
    monkeypatch.setattr(cache, "version", lambda name: "0")
    assert cache.code_digest() != before


def test_a_change_in_a_subfolder_is_a_miss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {folder.name for folder in cache.CODE} == {"accuracy", "pipeline", "variants"}
    deep = tmp_path / "variants" / "exact" / "deep" / "folded.py"
    deep.parent.mkdir(parents=True)
    deep.write_text("FACTOR = 1\n")
    monkeypatch.setattr(cache, "CODE", (tmp_path / "variants",))
    before = cache.code_digest()
    cache.store(tmp_path / "kept", before, SCORE)
    assert cache.load(tmp_path / "kept", cache.code_digest()) == SCORE
    deep.write_text("FACTOR = 2\n")
    assert cache.load(tmp_path / "kept", cache.code_digest()) is None
    deep.write_text("FACTOR = 1\n")
    assert cache.code_digest() == before
    deep.rename(deep.with_name("fused.py"))
    assert cache.code_digest() != before


@pytest.mark.parametrize(
    "score", [SCORE, FileScore("b", None, Components(0.0, 0.0, 0.0, 0.0), -1.0, 1.0, ())], ids=["scored", "unscored"]
)
def test_scores_survive_the_disk(score: FileScore, tmp_path: Path) -> None:
    assert cache.load(tmp_path / "new", "key") is None
    cache.store(tmp_path / "new", "key", score)
    assert cache.load(tmp_path / "new", "key") == score
    assert cache.load(tmp_path / "new", "other") is None
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["key.json"]


def test_infinite_values_survive_the_disk(tmp_path: Path) -> None:
    odd = FileScore("a", Components(math.inf, 0.0, 0.0, 0.0), Components(0, 0, 0, 0), 1.0, 1.0, ())
    cache.store(tmp_path, "key", odd)
    assert cache.load(tmp_path, "key") == odd


def test_damaged_results_are_none(tmp_path: Path) -> None:
    cache.store(tmp_path, "key", SCORE)
    path = tmp_path / "key.json"
    whole = path.read_text()
    for damaged in (whole[: len(whole) // 2], "", "[]", '{"name": "a"}', "3", "\x00\xff"):
        path.write_text(damaged)
        assert cache.load(tmp_path, "key") is None
    path.write_bytes(b"\xff\xfe\x00")
    assert cache.load(tmp_path, "key") is None
    wrong = json.loads(whole)
    wrong["der"] = {"total": 1.0}
    path.write_text(json.dumps(wrong))
    assert cache.load(tmp_path, "key") is None


def test_writing_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file.txt"
    for text in ("a long first text", "short"):
        write_atomically(path, text)
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_failed_writing_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.txt"
    path.write_text("before")
    with pytest.raises(TypeError):
        write_atomically(path, object())  # type: ignore[arg-type]

    def fails(self: Path, target: Path) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
