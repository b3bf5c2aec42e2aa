"""Scoring file by file: against whole outputs, in bounded memory, and after an interruption."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from pyannote.core import Annotation, Segment
from torch import nn

import variants
from bench.accuracy.der import Accuracy, changed_chunks, disagreement, lowest_cosine
from bench.accuracy.errors import components
from bench.accuracy.hearing import Task
from bench.accuracy.parts import Part
from bench.accuracy.scoring import Scorer
from bench.corpus import Recording
from bench.pipeline import diarize as diarizing
from bench.pipeline.diarize import Cut, cut, diarize, embed, segment
from bench.pipeline.oracle import OracleSegmentation
from bench.pipeline.staged import PipelineSettings
from variants import UserError

SETTINGS = PipelineSettings(step=0.5, tau=0.5, rho=0.3, delta=0.6)
FRAMES = 293


def accuracy(
    models: dict[str, Any], wanted: Task, folder: Path, progress: Callable[[float], None] = lambda done: None
) -> dict[str, Accuracy]:
    return Scorer(models, wanted, folder).accuracy(models, progress=progress)


class Pitch(nn.Module):
    """Takes no time: the mean spectrum of a row's samples where it is weighted, projected."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.project = nn.Parameter(torch.randn(129, 8, generator=torch.Generator().manual_seed(seed)))

    def forward(self, waveforms: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        spectrum = torch.stft(waveforms[:, 0], 256, 273, window=torch.hann_window(256), return_complex=True).abs()
        return (spectrum[..., :FRAMES] @ weights[..., None])[..., 0] @ self.project


@pytest.fixture
def made(tmp_path: Path) -> Callable[[str, float], Recording]:
    """A recording of so many seconds of two tones in turns of two seconds."""

    def make(name: str, seconds: float) -> Recording:
        time = np.arange(round(seconds * 16000)) / 16000
        pitch = np.where(time % 4 < 2, 200, 900)
        samples = 0.3 * np.sin(2 * np.pi * pitch * time) + 0.01 * np.random.default_rng(0).standard_normal(len(time))
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, samples.astype(np.float32), 16000, subtype="FLOAT")
        reference = Annotation(name)
        for i in range(int(seconds) // 2):
            reference[Segment(2 * i, 2 * i + 2)] = "ab"[i % 2]
        return Recording(name, path, reference, None, seconds)

    return make


@pytest.fixture
def models() -> dict[str, Any]:
    return {"baseline": Pitch(0), "baseline-twin": Pitch(0), "distilled": Pitch(1)}


def task(*recordings: Recording, opened: list[str] | None = None) -> Task:
    segmentation = variants.as_segmentation_model(OracleSegmentation(5.0, FRAMES))

    def read(part: Part, perturbation: int) -> Cut:
        if opened is not None:
            opened.append(part[0].name)
        return cut(part[0], SETTINGS, part[1], perturbation)

    return Task([(recording, None) for recording in recordings], read, SETTINGS, segmentation, 0.0, False)


def test_scores_are_those_of_whole_outputs(
    clip: Recording, stock: nn.Module, segmenter: nn.Module, tmp_path: Path
) -> None:
    """Segmented, embedded and diarized as a whole, with a technique, its parent, and a pipeline with lean blocks."""
    root = variants.as_segmentation_model(segmenter)
    other = variants.as_segmentation_model(variants.build("segmentation-frozen", segmenter))
    built: dict[str, Any] = {
        name: variants.build(name, stock)
        for name in ("baseline", "distilled", "shared-folded", "distilled-shared-trunk")
    }
    built["best-exact"] = variants.build("shared-folded", stock)
    wanted = Task(
        [(clip, None)],
        lambda part, p: cut(part[0], SETTINGS, part[1], p),
        SETTINGS,
        root,
        0.0,
        False,
        {"best-exact": other},
    )
    found = accuracy(built, wanted, tmp_path)

    outputs, scores = {}, {}
    for name, model in built.items():
        embedding, model_s = variants.as_embedding_model(model), wanted.others.get(name, root)
        file = segment(clip, SETTINGS, model_s)
        scores[name] = file.segmentations
        outputs[name] = diarize(file, embed(file, embedding), SETTINGS, model_s, embedding)
    for name, parent in [
        ("distilled", "baseline"),
        ("distilled-shared-trunk", "distilled"),
        ("best-exact", "shared-folded"),
        ("baseline", "baseline"),
    ]:
        (score,) = found[name].files
        mine, base, above = (outputs[n] for n in (name, "baseline", parent))
        assert score.der == components(clip.reference, mine.labels, None, 0.0, False)
        said = components(base.labels, mine.labels, None, 0.0, False)  # of turns rounded to a millisecond
        assert score.disagreement.error == pytest.approx(said.error, abs=1e-3 * len(mine.labels))
        assert score.cosine == pytest.approx(lowest_cosine(mine.embeddings, base.embeddings), abs=1e-6)
        assert score.parent_cosine == pytest.approx(lowest_cosine(mine.embeddings, above.embeddings), abs=1e-6)
        assert list(score.changed) == changed_chunks(file, 0, mine.by_chunk, above.by_chunk)
        assert (score.labels == found[parent].files[0].labels) == (not score.changed)
        speaking = (scores["baseline"] >= 0.5).any(1).numpy()  # (chunks, speakers)
        each = torch.cosine_similarity(torch.from_numpy(mine.embeddings), torch.from_numpy(base.embeddings), -1)
        counted = np.repeat(*map(np.array, zip(*score.cosines, strict=True)))
        assert counted == pytest.approx(np.sort(each.numpy()[speaking]), abs=1e-4)
        to_parent = torch.cosine_similarity(torch.from_numpy(mine.embeddings), torch.from_numpy(above.embeddings), -1)
        last = np.sort(to_parent.numpy()[(scores[parent] >= 0.5).any(1).numpy()])[:3]
        assert [row.cosine for row in score.worst] == pytest.approx(last, abs=1e-4)
        for row in score.worst:
            chunk = next(i for i in range(len(file.chunks)) if abs(file.chunks.start(i) - row.start) < 1e-3)
            assert to_parent[chunk, row.speaker - 1] == pytest.approx(row.cosine, abs=1e-4) and row.end == row.start + 5
            share = (scores[parent][chunk, :, row.speaker - 1] >= 0.5).float().mean()
            assert row.spoken == pytest.approx(5 * float(share), abs=0.01)
    assert found["distilled"].files[0].labels != found["baseline"].files[0].labels
    assert len(found["distilled"].changed) > len(found["distilled-shared-trunk"].changed)
    assert found["distilled"].cosine < 0.99


def test_a_model_hears_a_file_once_and_the_twin_not_at_all(
    made: Callable[[str, float], Recording], models: dict[str, Any], tmp_path: Path
) -> None:
    heard = dict.fromkeys(models, 0)
    for name, model in models.items():

        def count(_: nn.Module, given: tuple[torch.Tensor, ...], __: object, name: str = name) -> None:
            heard[name] += len(given[0])

        model.register_forward_hook(count)
    file = made("a", 20.0)
    found = accuracy(models, task(file), tmp_path)
    rows = 3 * len(cut(file, SETTINGS).chunks)
    checked = 3 * diarizing.CHECKED  # row by row; the call with all weights raises in it
    assert heard == {"baseline": rows + checked, "baseline-twin": 0, "distilled": rows + checked}
    assert found["baseline-twin"] == found["baseline"]
    assert found["baseline"].der is not None and 0 < found["baseline"].der < 50


def test_an_interrupted_run_resumes(
    made: Callable[[str, float], Recording], models: dict[str, Any], tmp_path: Path
) -> None:
    files = [made(name, 12.0) for name in "abc"]
    whole = accuracy(models, task(*files), tmp_path / "whole")

    def stop(share: float) -> None:
        if share > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        accuracy(models, task(*files), tmp_path / "cut", stop)
    opened: list[str] = []
    assert accuracy(models, task(*files, opened=opened), tmp_path / "cut") == whole
    assert opened == ["b", "c"]
    opened.clear()
    more = models | {"distilled-int8": Pitch(2)}  # and only it is heard, beside its parent and the baseline
    again = accuracy(more, task(*files, opened=opened), tmp_path / "cut")
    assert opened == ["a", "b", "c"]
    assert {name: again[name] for name in models} == whole
    opened.clear()
    accuracy(more, task(*reversed(files), opened=opened), tmp_path / "cut")  # nor does it matter what lies beside them
    assert opened == []


def test_under_a_perturbation_a_variant_is_heard_alone(
    made: Callable[[str, float], Recording], models: dict[str, Any], tmp_path: Path
) -> None:
    heard: list[str] = []
    for name, model in models.items():
        model.register_forward_hook(lambda *_, name=name: heard.append(name))
    file = made("a", 12.0)
    scorer = Scorer(models, task(file), tmp_path)
    (base,) = scorer.accuracy(["baseline"], 3)["baseline"].files
    assert {*heard} == {"baseline"}
    heard.clear()
    (mine,) = scorer.accuracy(["distilled"], 3)["distilled"].files
    assert {*heard} == {"distilled"}
    assert mine.disagreement_blocks == tuple(disagreement(base.turns, mine.turns, 12.0))
    assert sum(block.error for block in mine.der_blocks) == pytest.approx(mine.der.error)  # type: ignore[union-attr]
    (same,) = scorer.accuracy(["baseline-twin"], 3)["baseline-twin"].files
    assert same == base and same.seconds > 0
    heard.clear()
    scorer.accuracy(["baseline"], 4)
    assert heard  # another perturbation is another score
    heard.clear()
    again = Scorer(models, task(file), tmp_path)
    assert again.accuracy(["distilled"], 3)["distilled"].files == (mine,) and not heard


def test_equal_audio_under_another_name_keeps_its_name(
    made: Callable[[str, float], Recording], models: dict[str, Any], tmp_path: Path
) -> None:
    one = made("a", 12.0)
    found = accuracy(models, task(one, replace(one, name="b")), tmp_path)
    assert [file.name for file in found["baseline"].files] == ["a", "b"]


def test_damaged_files_are_left_out(
    made: Callable[[str, float], Recording], models: dict[str, Any], tmp_path: Path
) -> None:
    good, bad = made("good", 12.0), made("bad", 12.0)
    given = task(bad, good)
    found = accuracy(
        models, replace(given, cut=lambda part, p: None if part[0] is bad else given.cut(part, p)), tmp_path
    )
    assert [[file.name for file in made.files] for made in found.values()] == [["good"]] * 3
    assert accuracy(models, replace(given, cut=lambda part, p: None), tmp_path / "none")["baseline"] == Accuracy(())


def test_one_file_at_a_time_is_in_memory(
    made: Callable[[str, float], Recording], models: dict[str, Any], tmp_path: Path
) -> None:
    alive: list[weakref.ref[torch.Tensor]] = []
    seen: list[int] = []
    given = task(*(made(name, 12.0) for name in "abc"))

    def read(part: Part, perturbation: int) -> Cut | None:
        gc.collect()
        seen.append(1 + sum(waveforms() is not None for waveforms in alive))
        file = given.cut(part, perturbation)
        assert file is not None
        alive.append(weakref.ref(file.waveforms))
        return file

    def look(_: float) -> None:
        gc.collect()
        seen.append(sum(waveforms() is not None for waveforms in alive))

    accuracy(models, replace(given, cut=read), tmp_path, look)
    assert len(alive) == 3
    assert max(seen) == 1


def test_memory_grows_with_neither_the_files_nor_the_overlap_of_chunks(
    made: Callable[[str, float], Recording], models: dict[str, Any], tmp_path: Path
) -> None:
    """Of what numpy holds, as it does the waveforms; every chunk for itself would be ten copies of them."""

    def peak(*files: Recording) -> int:
        gc.collect()
        tracemalloc.start()
        try:
            accuracy(models, task(*files), tmp_path / files[-1].name)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(made("warm", 8.0))
    short, three, long = peak(made("s", 20.0)), peak(*(made(name, 20.0) for name in "tuv")), peak(made("l", 60.0))
    assert three - short < 20 * 16000 * 4  # not even one file more
    assert long - short < 40 * 16000 * 4 * 4  # at a time: as read, as found finite, padded, and room for the rest


class Broken(Pitch):
    """Raises at a word in a file's samples: at the first ones or, as a second file has none, later or never."""

    def forward(self, waveforms: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        if float(waveforms.abs().max()) > 0.5:
            raise RuntimeError("no such\nlayer")
        return super().forward(waveforms, weights)


def test_what_raises_is_left_out_and_the_others_go_on(
    made: Callable[[str, float], Recording], models: dict[str, Any], tmp_path: Path
) -> None:
    quiet, loud = made("quiet", 12.0), made("loud", 12.0)
    samples, rate = soundfile.read(loud.path, dtype="float32")
    samples[150_000:] *= 2  # from its 9th second on
    soundfile.write(loud.path, samples, rate, subtype="FLOAT")
    child = {"distilled-pruned-structured": Pitch(2)}
    given = task(quiet, loud)
    scorer = Scorer(models | {"distilled": Broken(1)} | child, given, tmp_path / "one")
    found = scorer.accuracy(scorer.models)
    assert list(found) == ["baseline", "baseline-twin", *child]
    assert scorer.failed == {"distilled": "loud: RuntimeError: no such"}

    whole = accuracy(models | child, given, tmp_path / "two")
    assert {name: found[name] for name in ("baseline", "baseline-twin")} == {
        name: whole[name] for name in ("baseline", "baseline-twin")
    }
    (first, second), (before, _) = (side["distilled-pruned-structured"].files for side in (found, whole))
    assert first == before
    alone = {name: models[name] for name in ("baseline", "baseline-twin")} | child  # without its parent
    assert second == accuracy(alone, given, tmp_path / "three")["distilled-pruned-structured"].files[1]

    opened: list[str] = []
    accuracy(models | {"distilled": Broken(1)} | child, task(quiet, loud, opened=opened), tmp_path / "one")
    assert opened == ["loud"]  # what it left out is tried again
    with pytest.raises(UserError, match=r"^loud: the baseline failed: RuntimeError: no such$"):
        accuracy(models | {"baseline": Broken(0)}, given, tmp_path / "four")
