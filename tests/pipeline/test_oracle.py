"""The oracle against a reference small enough to see what each frame must be."""

import numpy as np
import pytest
import torch
from diart.models import SegmentationModel
from pyannote.core import Annotation, Segment

from bench.pipeline.oracle import OracleSegmentation


def reference(*turns: tuple[float, float, str]) -> Annotation:
    annotation = Annotation()
    for i, (start, end, speaker) in enumerate(turns):
        annotation[Segment(start, end), i] = speaker
    return annotation


def oracle(annotation: Annotation, starts: list[float]) -> OracleSegmentation:
    """Five frames of one second, whose middles are at 0.5 to 4.5 s."""
    made = OracleSegmentation(duration=5.0, frames=5)
    made.reference(annotation, starts)
    made.at(starts)
    return made


def waveforms(chunks: int) -> torch.Tensor:
    return torch.zeros(chunks, 1, 80_000)


def test_frames_are_active_where_their_middle_is() -> None:
    # ann: 0 to 1.5 (its end is exclusive, so not the frame with its middle at 1.5); ben: 2.5 (inclusive) to 4
    output = oracle(reference((0, 1.5, "ann"), (2.5, 4, "ben")), [0.0])(waveforms(1))
    assert output.dtype == torch.float32
    assert output.shape == (1, 5, 3)
    assert output[0].T.tolist() == [[1, 0, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 0]]


def test_overlap_and_a_speakers_several_turns() -> None:
    turns = reference((0, 3, "ann"), (1, 5, "ben"), (4, 5, "ann"), (2.2, 2.4, "nobody's frame"))
    output = oracle(turns, [0.0])(waveforms(1))
    assert output[0].T.tolist() == [[1, 1, 1, 0, 1], [0, 1, 1, 1, 1], [0, 0, 0, 0, 0]]


def test_chunks_are_placed_by_their_start() -> None:
    turns = reference((0, 2, "ann"), (6, 7, "ben"))
    output = oracle(turns, [-4.0, 0.0, 5.0, 100.0])(waveforms(4))
    assert output[:, :, 0].tolist() == [[0, 0, 0, 0, 1], [1, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert not output[:, :, 1:].any()  # whoever is alone in a chunk comes first in it


def test_a_fourth_speaker_of_a_chunk_gets_a_column_in_all() -> None:
    turns = reference(*[(i, i + 1, name) for i, name in enumerate(["ann", "ben", "cas", "dot"])], (20, 21, "eve"))
    output = oracle(turns, [0.0, 17.0])(waveforms(2))
    assert output.shape == (2, 5, 4)
    assert output[0].T.tolist() == [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]]
    assert output[1, :, 0].tolist() == [0, 0, 0, 1, 0]


def test_five_speakers_of_a_file_take_three_columns_if_no_chunk_has_more() -> None:
    turns = reference(*[(10 * i, 10 * i + 1, name) for i, name in enumerate("abcde")])
    assert oracle(turns, [0.0, 10.0, 20.0, 30.0, 40.0])(waveforms(5)).shape == (5, 5, 3)


def test_a_silent_file_has_silent_frames() -> None:
    assert not oracle(Annotation(), [0.0])(waveforms(1)).any()


@pytest.mark.parametrize("told", [[], [0.0], [0.0, 1.0, 2.0]])
def test_it_must_be_told_the_time_of_each_chunk(told: list[float]) -> None:
    made = oracle(reference((0, 1, "ann")), told)
    with pytest.raises(ValueError, match=f"told {len(told)} start times for 2 chunks"):
        made(waveforms(2))


def test_batches_equal_single_chunks() -> None:
    rng = np.random.default_rng(0)
    turns = reference(*[(s, s + rng.uniform(0.2, 3), f"{i % 5}") for i, s in enumerate(rng.uniform(0, 30, 40))])
    starts = [i * 0.25 - 2.75 for i in range(120)]
    made = oracle(turns, starts)
    together = made(waveforms(len(starts)))
    for start, chunk in zip(starts, together, strict=True):
        made.at([start])
        assert torch.equal(made(waveforms(1))[0], chunk)


def test_it_is_a_model_to_diart() -> None:
    made = oracle(reference((0, 1, "ann")), [0.0])
    wrapped = SegmentationModel(lambda: made)
    assert wrapped.to(torch.device("cpu")).eval()(waveforms(1)).shape == (1, 5, 3)
