"""A WavLM segmentation in stock DIART, in ONNX Runtime, as a preset, and in the command that compares."""

import argparse
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import variants
from bench.corpus import Recording
from bench.pipeline.chunks import stream_chunks
from bench.pipeline.staged import PipelineSettings, diart_config, diart_pipeline
from bench.report import tables
from bench.report import terminal as report
from bench.run.options import add_options, parse
from bench.run.run import Run
from bench.studies import wavlm
from variants import UnavailableError, provenance_of
from variants.loading import load
from variants.provenance import Provenance, stamp
from variants.wavlm import PRESETS, Encoder, HeadSizes, Segmenter, Sizes
from variants.wavlm.sizes import dense

TINY = dense(convs=16, layers=2, heads=2, ffn=16, width=32, large=False)


@pytest.fixture
def tiny(encoder: Encoder) -> Segmenter:
    """A segmenter whose output changes from frame to frame."""
    segmenter = Segmenter(encoder.sizes, HeadSizes(width=32, ffn=64, heads=2, blocks=1))
    segmenter.encoder = encoder
    return stamp(segmenter.eval(), Provenance("test", "c" * 64, trained=True))  # type: ignore[no-any-return]


@pytest.fixture
def presets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PRESETS:
        monkeypatch.setitem(PRESETS, name, TINY)


def test_stock_diart(tiny: Segmenter, stock: Any, clip: Recording) -> None:
    settings = PipelineSettings(step=0.5)
    segmentation, embedding = variants.as_segmentation_model(tiny), variants.as_embedding_model(stock)
    chunks = stream_chunks(clip.waveform(), clip.path, diart_config(settings, segmentation, embedding))
    pipeline = diart_pipeline(settings, segmentation, embedding)
    seen = []
    original = pipeline.segmentation
    pipeline.segmentation = lambda waveforms: seen.append(original(waveforms)) or seen[-1]
    outputs = [pipeline([chunk])[0][0] for chunk in chunks]
    assert seen[0].shape == (1, 249, 4)
    assert set(torch.cat(seen).unique().tolist()) == {0, 1}
    first = torch.from_numpy(chunks[0].data.T[None]).float()
    with torch.no_grad():
        assert torch.equal(seen[0], tiny(first))
    assert len(outputs) == len(chunks) and any(output.labels() for output in outputs)


@pytest.mark.parametrize(("form", "agreement"), [("wavlm-onnx", 0.999), ("wavlm-int8", 0.65)])
def test_onnx_forms(form: str, agreement: float, tiny: Segmenter, clip: Recording) -> None:
    waveform = torch.from_numpy(clip.waveform()[None, :, :80_000]).float()
    built = variants.build(form, tiny)
    with torch.no_grad():
        same = (built(waveform) == tiny(waveform)).float().mean().item()
    assert same >= agreement
    assert provenance_of(built) == provenance_of(tiny)
    assert form == "wavlm-onnx" or built.file.numel() < 0.8 * variants.build("wavlm-onnx", tiny).file.numel()


def test_onnx_forms_of_another_segmentation(segmenter: Any) -> None:
    with pytest.raises(UnavailableError, match="PyanNet is no WavLM"):
        variants.build("wavlm-onnx", segmenter)


@pytest.mark.parametrize("name", ["segmentation-frozen", "segmentation-cached-onnx"])
def test_variants_of_a_sincnet_do_not_take_a_wavlm(name: str, tiny: Segmenter) -> None:
    with pytest.raises(UnavailableError):
        variants.build(name, tiny)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_seeded_and_untrained(name: str, presets: None) -> None:
    one, other = load("segmentation", name), load("segmentation", name)
    stamp = provenance_of(one)
    assert stamp is not None and not stamp.trained and stamp == provenance_of(other)
    assert "random weights" in str(stamp)
    with torch.no_grad():
        assert one(torch.randn(1, 1, 16_000)).shape == (1, 49, 4)


def test_untrained_segmentation_is_not_scored(presets: None, tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_options(parser.add_argument)
    given = parser.parse_args(["--segmentation", "wavlm-base-plus", "--step", "0.5", "--corpus", "sample"])
    run = Run(parse(lambda name: getattr(given, name)), ["baseline"], tmp_path, lambda *_: None)
    run.prepare(timed=False)
    assert run.scores.accuracy == {} and run.scores.parts == []
    findings = run.findings()
    assert any("DER: not measured" in note for note in findings.notes)
    assert report._der(None, findings) == "not measured"
    assert tables.der({"conditions": run.conditions()}, {"der": 12.0}) == "not measured"
    trained = SimpleNamespace(conditions=run.conditions() | {"segmentation_trained": True})
    assert tables.der({"conditions": trained.conditions}, {"der": 12.0}) == "12.00"
    assert report._der(None, trained) == "-"  # type: ignore[arg-type]


@pytest.mark.slow
def test_comparison(presets: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(wavlm.FORMS, wavlm.PAIRS["base-plus"].pruned, ("wavlm-onnx",))  # int8 takes its time
    assert (
        wavlm.main(["--pairs", "base-plus", "--budget", "0", "--corpus", "sample", "--step", "2", "--device", "cuda"])
        == 0
    )
    printed = capsys.readouterr().out
    rows = [line for line in printed.splitlines() if line.startswith("| `wavlm")]
    assert len(rows) == 3 + 4 + 4  # graphs are whole segmentations
    assert all("not measured" in row.split("|")[-2] for row in rows)  # DER
    speed_ups = [row.split("|")[4] for row in rows if row.startswith("| `wavlm-base-plus-s80` |")]
    assert len(speed_ups) == 3 and all("[" in ratio for ratio in speed_ups)
    if not torch.cuda.is_available():
        assert "no GPU" in printed and rows[0].split("|")[5].strip() == "not measured"
    assert "| 4.0 |" in rows[1] and "holds the step" in printed
    assert wavlm.main(["--segmentation", "wavlm-large"]) == 1


def test_ratios_by_hand() -> None:
    """Dense 400 ms, pruned 100 ms: four times as fast; a step of 0.5 s holds both."""
    from bench.latency.interleave import Measurement, Rounds

    def rounds(seconds: float) -> Rounds:
        return Rounds([seconds] * 12, [{}] * 12, [i // 3 for i in range(12)])

    pair = wavlm.PAIRS["base-plus"]
    failed = f"{pair.pruned}, int8"
    measured = {pair.dense: rounds(0.4), pair.pruned: rounds(0.1), pair.pruned + wavlm.AGAIN: rounds(0.2)}
    found = wavlm.rows("pipeline", pair, Measurement(measured, {failed: "RuntimeError: no"}), step=0.3)
    assert found[pair.dense] == {"median ms": "400", "speed-up": "1", "real time": "no"}
    assert found[pair.pruned] == {"median ms": "100", "speed-up": "4.00 [4.00, 4.00]", "real time": "yes"}
    assert found[pair.pruned + wavlm.AGAIN]["speed-up"].startswith("0.50")
    assert found[failed] == {"median ms": "failed: RuntimeError: no"}
    lines = wavlm.table(pair, "WavLM alone", {"cpu": found}, 80_000)
    assert len({line.count("|") for line in lines[:5]}) == 1
    assert Sizes.of(Segmenter(TINY).sizes()["encoder"]) == TINY
