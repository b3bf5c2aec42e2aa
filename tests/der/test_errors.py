"""Errors by block: by hand, and as parts of what pyannote.metrics finds in the whole file."""

import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyannote.core import Annotation, Segment, Timeline

from bench.accuracy.errors import Components, components, components_by_block, edges

TURN = st.tuples(st.integers(-200, 7000), st.integers(10, 1500), st.sampled_from("abcd"))
SPEECH = st.lists(TURN, max_size=12).map(
    lambda turns: annotation(*(((start / 100, (start + length) / 100, who) for start, length, who in turns)))
)
UEMS = st.none() | st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), min_size=1, max_size=3).map(
    lambda parts: Timeline([Segment(start, start + length) for start, length in parts]).support()
)


def annotation(*turns: tuple[float, float, str]) -> Annotation:
    made = Annotation()
    for i, (start, end, speaker) in enumerate(turns):
        made[Segment(start, end), i] = speaker
    return made


def test_blocks_are_equally_long() -> None:
    assert edges(64) == [0, 64 / 6, 128 / 6, 32, 256 / 6, 320 / 6, 64]
    assert edges(4) == [0, 4]
    assert edges(20) == [0, 10, 20]


def test_the_mapping_is_that_of_the_whole_file() -> None:
    """x is ann over the file; in block 2 alone it would be ben, who speaks longer there."""
    reference = annotation((0, 14, "ann"), (14, 30, "ben"))
    hypothesis = annotation((0, 22, "x"), (22, 30, "y"), (33, 34, "y"))
    assert components_by_block(reference, hypothesis, Timeline([Segment(0, 40)]), 30) == [
        Components(10, 0, 0, 0),
        Components(10, 0, 0, 6),
        Components(10, 0, 1, 2),  # and what lies beyond the end
    ]


def test_collar_and_overlap() -> None:
    reference, hypothesis = annotation((0, 6, "ann"), (4, 12, "ben")), annotation((0, 4, "x"), (6, 12, "y"))
    uem = Timeline([Segment(0, 20)])
    assert components_by_block(reference, hypothesis, uem, 20)[0] == Components(12, 4, 0, 0)
    assert components_by_block(reference, hypothesis, uem, 20, skip_overlap=True)[0] == Components(8, 0, 0, 0)
    collared = components_by_block(reference, hypothesis, uem, 20, collar=1.0)
    # 0.5 s on either side of 0, 4, 6 and 12: ann 0.5-3.5, both 4.5-5.5, ben 6.5-10 and 10-11.5
    assert collared == [Components(3 + 2 + 3.5, 2, 0, 0), Components(1.5, 0, 0, 0)]


@given(SPEECH, SPEECH, UEMS, st.floats(5, 70), st.sampled_from([0.0, 0.5]), st.booleans())
def test_blocks_sum_to_the_file(
    reference: Annotation, hypothesis: Annotation, uem: Any, duration: float, collar: float, skip_overlap: bool
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyannote's about a missing UEM
        whole = components(reference, hypothesis, uem, collar, skip_overlap)
    blocks = components_by_block(reference, hypothesis, uem, duration, collar, skip_overlap)
    assert len(blocks) == len(edges(duration)) - 1
    for kind in ("total", "missed", "false_alarm", "confusion"):
        assert sum(getattr(block, kind) for block in blocks) == pytest.approx(getattr(whole, kind), abs=1e-4)
