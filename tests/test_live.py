"""The README's lines that run a variant live, with a microphone that plays the clip."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from pyannote.core import Annotation
from pyannote.metrics.diarization import DiarizationErrorRate

import variants.live
from bench.corpus import Recording
from bench.pipeline.staged import PRESETS, PipelineSettings, diart_pipeline
from variants import UserError, as_embedding_model, as_segmentation_model
from variants.loading import load

STEP = 4000


@pytest.fixture
def microphone(monkeypatch: pytest.MonkeyPatch, clip: Recording) -> None:
    """`sounddevice` without PortAudio: an input stream that hands over seven seconds of the clip, then closes."""
    samples = clip.waveform()[0, : 7 * 16000]

    class InputStream:
        closed = False

        def __init__(self, callback: Any, blocksize: int, **_: Any) -> None:
            self.callback, self.blocks = callback, samples.reshape(-1, blocksize)

        def start(self) -> None:
            for block in self.blocks:
                self.callback(block[:, None])
            self.blocks, self.closed = self.blocks[:0], True

        def stop(self) -> None: ...

        def close(self) -> None: ...

    fake = ModuleType("sounddevice")
    fake.InputStream, fake.check_input_settings = InputStream, lambda **_: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    for name in ("diart.sources", "diart.inference"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def heard(name: str) -> Annotation:
    """What the README's lines print, run with variant `name`."""
    lines = (Path(__file__).parents[1] / "README.md").read_text().partition("In a live pipeline:")[2].split("```")[1]
    assert lines.count('"best-exact"') == 1
    printed: list[Annotation] = []
    exec(lines.removeprefix("python").replace("best-exact", name), {"print": printed.append})
    return printed[0]


@pytest.fixture
def expected(clip: Recording) -> Annotation:
    """What the stock pipeline says."""
    settings = PipelineSettings(5.0, 0.25, 3.0, *PRESETS["bundled"])
    models = as_segmentation_model(load("segmentation")), as_embedding_model(load("embedding"))
    stock = diart_pipeline(settings, *models)
    from diart.operators import rearrange_audio_stream
    from diart.sinks import PredictionAccumulator
    from rx import from_iterable

    labels = PredictionAccumulator("input_device:None")
    blocks = np.split(clip.waveform()[:, : 7 * 16000], 28, axis=1)
    windows = from_iterable(blocks).pipe(rearrange_audio_stream(5.0, 0.25, 16000))
    windows.subscribe(lambda chunk: labels.on_next(stock([chunk])[0]))
    assert len(labels.get_prediction()) > 0
    return labels.get_prediction()


@pytest.mark.usefixtures("microphone")
def test_the_live_lines_label_as_the_stock_pipeline_does(expected: Annotation) -> None:
    assert str(heard("best-exact")) == str(expected)


@pytest.mark.slow
@pytest.mark.usefixtures("microphone")
@pytest.mark.parametrize("name", ["best", "streaming-trunk-int8", "best-streaming"])
def test_they_run_a_variant_that_is_not_exact(name: str, expected: Annotation) -> None:
    """At a tenth of the speech, who speaks may be said otherwise."""
    assert DiarizationErrorRate()(expected, heard(name)) < 0.1


def test_a_segmentation_variant_is_no_embedding_variant() -> None:
    with pytest.raises(UserError, match="unknown variant 'segmentation-onnx'; known are: baseline"):
        variants.live.pipeline("segmentation-onnx")
