"""The recipe of the taught streaming segmentation: its batches, what it compares, a run with a resume, its file."""

import copy
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyannote.audio.core.task import Problem
from streams import pyannet

from variants.errors import UnavailableError
from variants.provenance import Provenance, stamp
from variants.speech.data import read_speech
from variants.streaming.recurrence import Recurrence
from variants.streaming.streaming_segmentation_taught import student_of
from variants.training import streaming_segmentation as recipe
from variants.training.__main__ import main


class Store(list[Any]):
    """Six stretches of random features, and scores of eight chunks of 293 frames."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        super().__init__(random.standard_normal((6, 7 * 59 + 293, 60)).astype(np.float16))
        self.labels = random.random((6, 8, 293, 3)).astype(np.float16)


@pytest.fixture(scope="module")
def teacher() -> Any:
    return stamp(pyannet(1), Provenance("test", "a" * 64, trained=True))


def batches(seed: int = 3) -> recipe.StreamingSegmentationBatches:
    return recipe.StreamingSegmentationBatches(Store(), 20, 2, seed)  # type: ignore[arg-type]


def test_batches_are_the_same_each_time_and_heard_behind_others_or_nothing() -> None:
    first, again = batches(), batches()
    assert all(torch.equal(first[i][key], again[i][key]) for i in (0, 7) for key in ("signal", "before", "scores"))
    store, chunks, olds = Store(), set(), []
    for batch in map(first.__getitem__, range(20)):
        old = batch["before"].shape[1]
        olds.append(old)
        assert batch["signal"].shape == (2, 5 * 59 + 293, 60) and batch["scores"].shape == (2, 6, 293, 3)
        for row in range(2):
            scores = batch["scores"][row].numpy()
            item, chunk = next(
                (i, k) for i in range(6) for k in range(3) if np.array_equal(store.labels[i][k : k + 6], scores)
            )
            assert np.array_equal(batch["signal"][row], store[item][59 * chunk : 59 * (chunk + 5) + 293])
            if old and chunk:  # what is before the window in its own stretch, behind another's end
                assert np.array_equal(batch["before"][row, -59 * chunk :], store[item][: 59 * chunk])
            chunks.add(chunk)
    assert chunks == {0, 1, 2} and 2 < olds.count(0) < 13 and max(olds) > 300


@pytest.mark.parametrize("behind", [False, True])
def test_chunks_are_compared_as_a_stream_knows_them_at_their_ends(teacher: Any, behind: bool) -> None:
    network = Recurrence(teacher)
    batch = next(b for b in map(batches().__getitem__, range(20)) if behind == bool(b["before"].shape[1]))
    with torch.no_grad():
        found, given = recipe.StreamingSegmentationObjective(network, 15, "a" * 64).chunks(batch)
    assert found.shape == given.shape == (6 * 2, 293, 3)
    for row in range(2):
        features = torch.cat([batch["before"][row], batch["signal"][row]])[:, None]
        old = len(features) - 588
        steps = [old + 293 + 59 * i + part for i in range(5) for part in (15, 30, 45, 59)]
        if behind:  # heard in steps of a second before, of a quarter in the window
            steps = sorted({*range(min(293, old), old, 59), *range(old, old + 293, 15), old + 293, *steps})
        else:
            steps = [293, *steps]
        known, state, begun = torch.zeros(len(features), 3), network.start(), 0
        for end in steps:
            scores, state = network(features[begun : end - 15], features[end - 15 : end], state)
            known[begun:end] = scores[:, 0].detach()
            begun = end - 15
            chunk, rest = divmod(end - old - 293, 59)
            if chunk >= 0 and not rest:
                mine = torch.sigmoid(found[2 * chunk + row])
                torch.testing.assert_close(mine, known[end - 293 : end], rtol=1e-4, atol=1e-5)
                assert torch.equal(given[2 * chunk + row], batch["scores"][row, chunk])


def test_the_teacher_scores_chunks_a_second_apart(teacher: Any, speech_folder: Path) -> None:
    stretches = recipe.ScoredStretches(read_speech(speech_folder), 2, teacher, seed=1)
    waveform, scores = stretches[1]
    assert (waveform.shape, scores.shape) == ((320_000,), (16, 293, 3))
    assert np.array_equal(scores, stretches[1][1])
    with torch.no_grad():
        alone = teacher(torch.from_numpy(waveform[2 * 59 * 270 :][:80_000])[None, None])[0]
    np.testing.assert_allclose(scores[2], alone, atol=1e-3)


def test_a_run_resumes_and_its_file_serves_its_teacher(
    teacher: Any, speech_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(recipe, "load", lambda *_: copy.deepcopy(teacher))
    options = ["streaming-segmentation", "--data", str(speech_folder), "--out", str(tmp_path), "--dev-speakers", "4"]
    options += ["--steps", "2", "--rows", "2", "--stretches", "2", "--dev-stretches", "1", "--epoch-steps", "1"]
    options += ["--workers", "0", "--accelerator", "cpu", "--average", "0", "--teacher", "a teacher"]
    assert main(options) == 0
    assert main(options) == 1 and "add --resume" in capsys.readouterr().err
    assert main([*options, "--steps", "3", "--resume"]) == 0
    path = tmp_path / "streaming-segmentation.safetensors"
    (tmp_path / "SHA256SUMS").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    start, (taught, _) = Recurrence(teacher), student_of(teacher, tmp_path)
    apart = {name: (p - start.get_parameter(name)).abs().max() for name, p in taught.named_parameters()}
    assert min(apart.values()) > 1e-4 and max(apart.values()) < 0.05  # all have moved, in three steps not far
    with pytest.raises(UnavailableError, match="of other is shipped, only of a teacher"):
        student_of(stamp(copy.deepcopy(teacher), Provenance("other", "b" * 64, trained=True)), tmp_path)


def test_random_weights_and_groups_of_speakers_teach_nothing(
    teacher: Any, speech_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    groups = copy.deepcopy(teacher)
    groups.specifications = replace(
        groups.specifications, problem=Problem.MONO_LABEL_CLASSIFICATION, powerset_max_classes=2
    )
    options = ["streaming-segmentation", "--data", str(speech_folder), "--out", str(tmp_path / "out"), "--teacher", "T"]
    for model, reason in ((pyannet(1), "T: not a trained segmentation"), (groups, "T: scores groups of speakers")):
        monkeypatch.setattr(recipe, "load", lambda *_, model=model: model)
        assert main(options) == 1 and reason in capsys.readouterr().err
