"""Error components, rates, cosines and changed chunks on annotations small enough to add up by hand."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pyannote.core import Annotation, Segment, Timeline

from bench.accuracy.der import Accuracy, FileScore, changed_chunks, lowest_cosine, score, score_output, turns
from bench.accuracy.errors import Components, components, rate
from bench.pipeline.diarize import Cut, Output

NOTHING = Components(10.0, 0.0, 0.0, 0.0)


def annotation(*turns: tuple[float, float, str]) -> Annotation:
    made = Annotation()
    for i, (start, end, speaker) in enumerate(turns):
        made[Segment(start, end), i] = speaker
    return made


REFERENCE = annotation((0, 4, "ann"), (4, 10, "ben"))
UEM = Timeline([Segment(0, 20)])


def found(hypothesis: Annotation, collar: float = 0.0, skip_overlap: bool = False, uem: Timeline = UEM) -> list[float]:
    made = components(REFERENCE, hypothesis, uem, collar, skip_overlap)
    return [made.total, made.missed, made.false_alarm, made.confusion]


def test_equal_but_for_names_is_no_error() -> None:
    assert found(annotation((0, 4, "x"), (4, 10, "y"))) == [10, 0, 0, 0]


def test_each_kind_of_error() -> None:
    assert found(annotation((1, 4, "x"), (4, 8, "y"))) == [10, 3, 0, 0]  # 1 s of ann and 2 s of ben are missed
    assert found(annotation((0, 4, "x"), (4, 12, "y"))) == [10, 0, 2, 0]
    assert found(annotation((0, 3, "x"), (3, 10, "y"))) == [10, 0, 0, 1]
    assert found(annotation((0, 10, "x"))) == [10, 0, 0, 4]  # x is ben, who speaks longer
    assert found(Annotation()) == [10, 10, 0, 0]
    mixed = components(REFERENCE, annotation((1, 3, "x"), (3, 12, "y")), UEM, 0.0, False)
    assert (mixed.missed, mixed.false_alarm, mixed.confusion, mixed.error) == (1, 2, 1, 4)


def test_only_the_scored_part_counts() -> None:
    assert found(annotation((0, 4, "x"), (4, 12, "y")), uem=Timeline([Segment(2, 11)])) == [8, 0, 1, 0]


def test_collar_is_its_full_width() -> None:
    # of 1 s: half a second on either side of 0, 4 and 10 is not scored, so 3 + 5 s are
    assert found(annotation((0, 4.25, "x"), (4.25, 10.5, "y")), collar=1.0) == [8, 0, 0, 0]
    assert found(annotation((0, 4, "x"), (4, 11, "y")), collar=1.0) == [8, 0, 0.5, 0]


def test_overlap_is_scored_or_skipped() -> None:
    reference = annotation((0, 6, "ann"), (4, 10, "ben"))
    alone = annotation((0, 4, "x"), (6, 10, "y"))
    scored = components(reference, alone, UEM, 0.0, False)
    assert (scored.total, scored.missed) == (12, 4)
    skipped = components(reference, alone, UEM, 0.0, True)
    assert (skipped.total, skipped.missed) == (8, 0)


def test_rate() -> None:
    assert rate([Components(10, 1, 2, 0.5)]) == 35
    assert rate([Components(10, 1, 0, 0), Components(30, 0, 2, 1)]) == 10  # 4 of 40 seconds
    assert rate([Components(0, 0, 0, 0)]) == 0  # nothing said, nothing claimed
    assert rate([Components(0, 0, 3, 0)]) == 100
    assert rate([Components(0, 0, 3, 0), Components(10, 0, 0, 0)]) == 30
    assert rate([]) == 0


def test_lowest_cosine() -> None:
    one = np.array([[[1.0, 0.0], [0.0, 2.0]]])
    assert lowest_cosine(one, one) == 1
    assert lowest_cosine(one, 5 * one) == pytest.approx(1)
    tilted = np.array([[[3.0, 4.0], [0.0, 1.0]]])  # 3-4-5: cosine 0.6 to the first, 1 to the second
    assert lowest_cosine(tilted, one) == pytest.approx(0.6)
    assert lowest_cosine(-one, one) == pytest.approx(-1)


def test_lost_embeddings_show() -> None:
    one, lost = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [math.nan, 1.0]])
    assert lowest_cosine(lost, one) == -1  # only here
    assert lowest_cosine(lost, lost) == 1  # in both: no embedding to compare
    assert lowest_cosine(one, lost) == 1
    assert lowest_cosine(np.full((2, 2), math.nan), np.full((2, 2), math.nan)) == 1


def output(labels: Annotation, by_chunk: list[Annotation], embeddings: np.ndarray) -> Output:
    return Output(embeddings, by_chunk, labels)


def cut(uem: Timeline) -> Cut:
    recording = SimpleNamespace(name="a", reference=REFERENCE)
    return Cut(recording, uem, SimpleNamespace(start=lambda i: -2.75 + 0.25 * i), 10.0)  # type: ignore[arg-type]


def test_score_of_a_file() -> None:
    base, mine = annotation((0, 4, "x"), (4, 10, "y")), annotation((0, 3, "x"), (3, 10, "y"))
    file = cut(UEM)
    scored = score(file, mine, turns(base), (0.6, 1.0), [-2.5, -2.25])
    one = Components(10, 0, 0, 1)
    assert scored == FileScore(
        "a", one, one, 0.6, 1.0, (-2.5, -2.25), ((0, 3, "x"), (3, 10, "y")), (one,), (one,), 10.0
    )
    assert Accuracy((scored,)).changed == ["a at -2.50 s", "a at -2.25 s"]

    file.recording.reference = None  # type: ignore[misc]
    unscored = score(file, mine, None, (0.6, 1.0), [])
    assert unscored.der is None and unscored.der_blocks == ()
    assert unscored.disagreement == Components(10, 0, 0, 0)  # with itself


def test_changed_chunks() -> None:
    same, other = annotation((0, 1, "x")), annotation((0, 1, "y"))
    assert changed_chunks(cut(UEM), 0, [same, same, other], [same, other, same]) == [-2.5, -2.25]
    assert changed_chunks(cut(UEM), 8, [same, same, other], [same, other, same]) == [-0.5, -0.25]


def test_score_of_an_output() -> None:
    base, mine = annotation((0, 4, "x"), (4, 10, "y")), annotation((0, 3, "x"), (3, 10, "y"))
    same, other = annotation((0, 1, "x")), annotation((0, 1, "y"))
    baseline = output(base, [same, same], np.array([[1.0, 0.0]]))
    scored = score_output(cut(UEM), output(mine, [same, other], np.array([[3.0, 4.0]])), baseline)
    assert scored.disagreement == Components(10, 0, 0, 1)
    assert scored.cosine == scored.parent_cosine == pytest.approx(0.6)
    assert scored.changed == (-2.5,)


def test_disagreement_ignores_collar_and_uem() -> None:
    base, mine = annotation((0, 4, "x"), (4, 10, "y")), annotation((0, 4.25, "x"), (4.25, 10, "y"))
    scored = score(cut(Timeline([Segment(6, 8)])), mine, turns(base), (1.0, 1.0), [], collar=1.0)
    assert scored.der == Components(2, 0, 0, 0)
    assert scored.disagreement == Components(10, 0, 0, 0.25)


def file_score(der: Components | None, name: str = "a", cosine: float = 1.0) -> FileScore:
    return FileScore(name, der, NOTHING, cosine, 1.0, ())


def test_accuracy_over_files() -> None:
    made = Accuracy(
        (file_score(Components(10, 1, 0, 2)), file_score(None, "b", 0.5), file_score(Components(30, 1, 0, 0), "c"))
    )
    assert made.der == 10
    assert (made.share("missed"), made.share("false_alarm"), made.share("confusion")) == (5, 0, 5)
    assert made.disagreement == 0
    assert made.cosine == 0.5
    assert made.changed == []


def test_accuracy_without_references() -> None:
    made = Accuracy((file_score(None),))
    assert made.der is None
    assert made.share("missed") is None
    assert made.increase_over(made) is None


def test_increase_pairs_files() -> None:
    base = Accuracy((file_score(Components(10, 1, 0, 0)), file_score(Components(30, 2, 0, 0)), file_score(None)))
    worse = Accuracy((file_score(Components(10, 1, 1, 1)), file_score(Components(30, 1, 1, 2)), file_score(None)))
    assert worse.increase_over(base) == pytest.approx(10)
    assert base.increase_over(worse) == pytest.approx(-10)
    assert base.increase_over(base) == 0


def test_files_must_be_the_same() -> None:
    one = Accuracy((file_score(NOTHING),))
    with pytest.raises(ValueError, match="other files"):
        Accuracy((file_score(NOTHING), file_score(NOTHING))).increase_over(one)


def test_components_come_from_the_rttm_of_a_real_file(tmp_path: Path) -> None:
    """The same sums through text, as pyannote.metrics reads it."""
    from pyannote.database.util import load_rttm

    path = tmp_path / "a.rttm"
    path.write_text(
        "SPEAKER a 1 0.000 4.000 <NA> <NA> ann <NA> <NA>\nSPEAKER a 1 4.000 6.000 <NA> <NA> ben <NA> <NA>\n"
    )
    assert components(load_rttm(path)["a"], annotation((0, 10, "x")), UEM, 0.0, False) == Components(10, 0, 0, 4)


def test_nothing_scored_is_no_der() -> None:
    """A collar or skipped overlap that leaves no speech to score must not read as an error of 0 %."""
    empty = FileScore("a", Components(0.0, 0.0, 0.0, 0.0), NOTHING, 1.0, 1.0, ())
    assert Accuracy((empty,)).der is None and Accuracy((empty,)).increase_over(Accuracy((empty,))) is None
    half = FileScore("b", Components(10.0, 1.0, 0.0, 0.0), NOTHING, 1.0, 1.0, ())
    assert Accuracy((empty, half)).der == 10
