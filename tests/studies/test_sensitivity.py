"""The sensitivity tables on graphs of which one layer alone is harmed by int8; the speech they rest on; refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench.corpus import Recording
from bench.studies import sensitivity, speech
from bench.studies.sensitivity import Heard, across, low_cosine
from bench.studies.speech import Speech, at_level, telephone
from variants.compressed.int8_static import quantise

TIME = np.arange(80_000) / 16_000


def made(chunks: int = 4) -> Speech:
    """Chunks of 40 samples, two speakers at ten frames: the first speaks always, the second in the last chunk only."""
    waveforms = np.stack(
        [(1, 2, 3, 200)[i] * np.random.default_rng(i).random((1, 40), np.float32) for i in range(chunks)]
    )
    scores = np.zeros((chunks, 10, 2), np.float32)
    scores[:, :, 0] = scores[-1, :2, 1] = 1
    return Speech(waveforms, scores, scores, np.array([i == 2 for i in range(chunks)]))


class Two(nn.Module):
    """A convolution of the signal itself, which is loud in one chunk; once its outputs are normalised, another one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(1, 8, 5, bias=False), nn.Conv1d(8, 6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.first(x)
        return self.second(found / found.std()).mean(dim=2).repeat(2, 1)  # both speakers' embeddings are the same


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_tables_name_the_layer_that_int8_harms_and_leave_it_in_float(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(sensitivity, "quickest", lambda made, _: 0.003 if made == path else 0.002)
    path = tmp_path / "two.onnx"
    torch.onnx.export(Two().eval(), (torch.rand(1, 1, 40),), str(path), input_names=["x"], dynamo=False)
    found = made()
    feeds = [{"x": waveform[None]} for waveform in found.waveforms]
    heard = {name: Heard(path, found, feeds, low_cosine) for name in ("dev", "other")}
    lines = [*sensitivity.tables(path, heard, lambda nodes: quantise(path, feeds, {}, nodes))]
    rows = [cells(line) for line in lines[: lines.index("")]]
    assert rows[0] == ["in int8", "operations, %", "saves, ms", "dev", "other"]
    first, second, everything, without, chosen = rows[2:]
    assert "first" in first[0] and "second" in second[0] and everything[0] == "all"
    assert float(first[3]) < float(second[3]) <= 1 and first[3] == first[4]
    # 36 outputs of eight filters of 5, 34 of six of 8 x 3
    assert float(first[1]) == pytest.approx(100 * 36 * 8 * 5 / (36 * 8 * 5 + 34 * 6 * 24), abs=0.05)
    assert float(first[1]) + float(second[1]) == pytest.approx(100, abs=0.1) and everything[1] == "100.0"
    assert {row[2] for row in rows[2:]} == {"1.00"}
    assert without[0] == f"all but {first[0]}" and chosen[0] == f"chosen: all but {first[0]}"
    assert without[3:] == chosen[3:] == second[3:]  # of two layers one is left
    parts = [cells(line) for line in lines[lines.index("") + 3 :]]
    assert [part[0] for part in parts] == [*found.parts] and parts[0][1] == second[3]


def test_what_saves_nothing_is_the_first_to_stay_in_float(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    path = tmp_path / "two.onnx"
    torch.onnx.export(Two().eval(), (torch.rand(1, 1, 40),), str(path), input_names=["x"], dynamo=False)
    found, made_of = made(), {path: 0.003}
    feeds = [{"x": waveform[None]} for waveform in found.waveforms]
    monkeypatch.setattr(sensitivity, "quickest", lambda made, _: made_of[made])
    monkeypatch.setattr(sensitivity, "LEAST", 1e-9)

    def quantised(nodes: list[str]) -> Path:
        made = quantise(path, feeds, {}, nodes).rename(tmp_path / f"{len(made_of)}.onnx")
        made_of[made] = 0.003 if "second" in nodes[0] else 0.001
        return made

    lines = [*sensitivity.tables(path, {"dev": Heard(path, found, feeds, low_cosine)}, quantised)]
    assert cells(lines[5])[0] == "all but " + cells(lines[3])[0]


def test_parts_of_speech_are_what_they_are_called() -> None:
    every, quiet, overlapped, start, short = made().parts.values()
    assert every.all() and every.shape == (4, 2)
    assert quiet.tolist() == [[True, True], *3 * [[False, False]]]  # each chunk is louder than the one before
    assert overlapped.tolist() == [*3 * [[False, False]], [True, True]]  # in a fifth of the last
    assert start.tolist() == [[False, False]] * 2 + [[True, True], [False, False]]
    assert short.all()  # 40 samples
    longer = Speech(np.zeros((1, 1, 80_000), np.float32), made().scores[-1:], made().scores[-1:], np.array([False]))
    assert longer.parts[[*longer.parts][-1]].tolist() == [[False, False]]  # of 5 s, 5 and 1
    assert made().speaking.tolist() == [*3 * [[True, False]], [True, True]]
    feed = made().rows[3]
    assert feed["waveform"].shape == (2, 1, 40) and (feed["waveform"][1] == made().waveforms[3]).all()
    assert feed["weights"].tolist() == made().scores[3].T.tolist()


def test_measures_by_hand() -> None:
    reference = np.array([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])
    found = np.array([[[3.0, 4.0], [0.0, 1.0]], [[-1.0, 0.0], [0.0, 1.0]]])  # cosines 0.6, 1, -1, 1
    rows = np.array([[True, True], [False, True]])
    assert low_cosine(found, reference, rows) == pytest.approx(
        0.6 + 0.1 * 0.4
    )  # of three, 0.1 on the way to the second
    assert np.isnan(low_cosine(found, reference, ~rows & rows))
    scores = np.array([[[[0.4, 0.6], [0.6, 0.6]]]])  # a chunk, two frames, two speakers
    moved = np.array([[[[0.45, 0.4], [0.4, 0.7]]]])
    assert (
        across(moved, scores, np.array([[True, True]])) == 50 and across(moved, scores, np.array([[True, False]])) == 50
    )
    assert across(scores, scores, np.array([[True, True]])) == 0 and np.isnan(
        across(moved, scores, np.zeros((1, 2), bool))
    )


def test_the_telephone_has_its_band_and_levels_are_root_mean_squares() -> None:
    tones = {hertz: np.sin(2 * np.pi * hertz * TIME, dtype=np.float32)[None] for hertz in (100, 1000, 6000)}
    power = {hertz: float(np.square(telephone(tone)[:, 8000:-8000]).mean()) for hertz, tone in tones.items()}
    assert power[1000] == pytest.approx(0.5, rel=0.01) and power[100] < 1e-4 and power[6000] < 1e-4
    for level in (-45, -10):
        changed = at_level(0.1 * tones[1000], level)
        assert 10 * np.log10(np.square(changed).mean()) == pytest.approx(level, abs=0.1)
        assert (changed * 2**15 == np.rint(changed * 2**15)).all()
    loud = at_level(tones[1000], 0)  # its peaks are at 3 dB above full scale
    assert loud.max() == 1 - 2**-15 and loud.min() == -1


def test_chunks_are_whole_and_weights_are_diarts(clip: Recording, segmenter: Any) -> None:
    import variants

    model = variants.as_segmentation_model(segmenter)
    found = speech.heard([clip, clip], model, lambda waveform: 0.5 * waveform)
    count = clip.waveform().shape[1] // 80_000
    assert found.waveforms.shape == (2 * count, 1, 80_000) and found.first.tolist() == 2 * [
        True,
        *[False] * (count - 1),
    ]
    assert (found.waveforms[0, 0] == 0.5 * clip.waveform()[0, :80_000]).all()
    from diart.blocks import OverlappedSpeechPenalty

    with torch.no_grad():
        scores = model(torch.from_numpy(found.waveforms[:2]))
    assert found.scores[:2] == pytest.approx(scores.numpy(), abs=1e-5)
    assert found.weights[:2] == pytest.approx(OverlappedSpeechPenalty()(scores).numpy(), abs=1e-4)


def test_the_segmentation_is_taken_apart_with_its_lstms(
    segmenter: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, 1, 80_000), np.float32)
    given: dict[str, Any] = {}

    def spoken(model: Any, folders: list[Path]) -> dict[str, Speech]:
        given["folders"] = folders
        with torch.no_grad():
            scores = model(torch.from_numpy(noise)).numpy()
        return {"dev": Speech(noise, scores, scores, np.array([True, False]))}

    monkeypatch.setattr(sensitivity, "chunk_feeds", lambda: ([{"inputs": chunk[None]} for chunk in noise], {}))
    monkeypatch.setattr(sensitivity, "spoken", spoken)
    monkeypatch.setattr(sensitivity, "load", lambda kind, _: {"segmentation": segmenter}[kind])
    assert sensitivity.main(["--model", "segmentation", "--corpus", str(tmp_path)]) == 0
    assert given["folders"] == [tmp_path]
    lines = capsys.readouterr().out.splitlines()
    rows = [cells(line) for line in lines[2 : lines.index("")]]
    assert sum("Conv" in name for name, *_ in rows if "," not in name and "all" not in name) == 3
    (chosen,) = (row for row in rows if row[0].startswith("chosen"))
    (lstm,) = (row for row in rows if row[0].startswith("/lstm"))
    assert chosen[3] == lstm[3] and chosen[1] == lstm[1]  # the tests' small PyanNet has one: the rest is sensitive
    assert all(0 <= float(row[3]) < 50 for row in rows) and any(float(row[3]) > 0 for row in rows)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("onnx-tuned", "--variant onnx-tuned: is no network in torch"),
        ("cached-sinc", "--variant cached-sinc: is no network in torch"),
        ("segmentation", "unknown variant 'segmentation'"),
    ],
)
def test_what_cannot_be_tried_is_refused_in_one_line(
    name: str, says: str, stock: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sensitivity, "load", lambda *_: stock)
    assert sensitivity.main(["--variant", name]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def test_a_folder_without_recordings_is_refused(tmp_path: Path, segmenter: Any) -> None:
    with pytest.raises(speech.UserError, match="no audio"):
        speech.spoken(segmenter, [tmp_path])
