"""`python -m bench.studies streaming`: its figures by hand and by DIART's own way through the file; refusals."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

import variants
from bench.corpus import Recording
from bench.pipeline.diarize import embed, segment
from bench.pipeline.staged import PipelineSettings
from bench.studies import streaming
from variants.streaming import streaming_trunk
from variants.streaming.offline import exponential, frames_by
from variants.streaming.streaming_trunk import SECONDS, StreamingTrunk


def test_only_who_speaks_counts() -> None:
    mine = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[3.0, 4.0], [1.0, 0.0]]])
    stock = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [-1.0, 0.0]]])
    who = torch.tensor([[True, False], [True, True]])
    found = streaming.cosines([(mine, stock, who)])
    np.testing.assert_allclose(found, [1.0, 0.6, -1.0], atol=1e-6)
    name, median, low, lowest = streaming.row_of("x", found)
    assert (name, round(median, 6), round(lowest, 6)) == ("x", 0.6, -1.0)
    assert low == pytest.approx(-1 + 0.1 * 1.6)  # a tenth of the way from the first to the second of three


def test_the_two_sided_kind_is_a_triangle() -> None:
    kind = streaming.both_sides(5.0)
    lags = np.array([-9.0, -5.0, -2.5, 0.0, 2.5, 5.0, 9.0])
    # from 0 to 2.5 s: 2.5 minus the triangle of 2.5 by half a unit
    np.testing.assert_allclose(kind(lags), [-2.5, -2.5, -1.875, 0, 1.875, 2.5, 2.5])


def test_embeddings_are_those_that_diart_gets(
    folded: Any, segmenter: Any, clip: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming_trunk, "AGAIN", 0.0)  # at once, by the same statistics: as if once
    model = StreamingTrunk(folded)
    file = segment(clip, PipelineSettings(step=1.0), variants.as_segmentation_model(segmenter))
    way = partial(frames_by, model.frame_trunk, kind=exponential(SECONDS))
    with torch.no_grad():
        found = streaming.embeddings_by(model, file, way)
        found = torch.nn.functional.normalize(found, dim=-1)
    expected, stocks = (embed(file, variants.as_embedding_model(made)) for made in (model, folded))
    assert found.shape == expected.shape and len(found) > 4
    near, far = ((found - other)[1:].norm(dim=-1).mean() for other in (expected, stocks))
    # they differ by samples that fill no frame of the first chunk, whose statistics fade, and by the filters' windows
    # over samples that the stream's norm met at two levels
    assert near < far / 5


def test_work_grows_with_the_step_and_not_with_the_chunk(folded: Any) -> None:
    def millions(model: Any, seconds: float, step: float) -> float:
        counted = streaming.multiply_adds(model, seconds, step)
        assert counted is not None
        return counted

    model = StreamingTrunk(folded)
    assert 1.6 < millions(model, 2, 1) / millions(model, 2, 0.5) < 2.1
    assert millions(model, 4, 1) < 1.05 * millions(model, 2, 1)
    assert millions(folded, 4, 0.5) > 2 * millions(folded, 2, 0.5)


def test_missing_corpus_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert streaming.main(["--corpus", "no/such/folder"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("bench.studies streaming: ") and error.count("\n") == 1 and "no/such/folder" in error
