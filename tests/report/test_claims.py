"""What a run says of the paper's findings, and the answer to the user: truth tables by hand."""

import math

import pytest

from bench.accuracy.der import Accuracy, Components, FileScore
from bench.latency.results import Kind, Latency
from bench.report.claims import CANNOT_TELL, NOT_REPRODUCED, REPRODUCED, answer, claims, judge_effect, judge_no_effect
from bench.statistics import Ratio

FLOOR = 0.02


def ratio(estimate: float, half: float = 0.01) -> Ratio:
    return Ratio(estimate, estimate - half, estimate + half, 99)


@pytest.mark.parametrize(
    ("found", "paper", "floor", "expected"),
    [
        (None, 0.9, FLOOR, CANNOT_TELL),
        (ratio(0.90), 0.9, FLOOR, REPRODUCED),
        (ratio(0.60), 0.9, FLOOR, REPRODUCED),  # more of it
        (ratio(0.94), 0.9, FLOOR, REPRODUCED),  # more than half of it
        (ratio(0.96), 0.9, FLOOR, NOT_REPRODUCED),  # less than half
        (ratio(1.10), 0.9, FLOOR, NOT_REPRODUCED),  # the other way
        (ratio(0.90), 1.5, FLOOR, NOT_REPRODUCED),
        (ratio(1.30), 1.5, FLOOR, REPRODUCED),
        (ratio(1.00), 0.9, FLOOR, NOT_REPRODUCED),  # nothing, and the paper's effect would have shown
        (ratio(1.00, 0.15), 0.9, FLOOR, CANNOT_TELL),  # the interval holds both
        (ratio(0.99), 0.9, 0.15, CANNOT_TELL),  # the floor hides it
        (ratio(0.50), 0.9, math.inf, CANNOT_TELL),  # no control
        (ratio(0.50), 0.9, 0.6, CANNOT_TELL),
    ],
)
def test_effects(found: Ratio | None, paper: float, floor: float, expected: str) -> None:
    assert judge_effect(found, paper, floor) == expected


@pytest.mark.parametrize(
    ("found", "floor", "expected"),
    [
        (None, FLOOR, CANNOT_TELL),
        (ratio(1.00), FLOOR, REPRODUCED),
        (ratio(0.97), FLOOR, REPRODUCED),  # a difference, but a small one
        (ratio(0.90), FLOOR, NOT_REPRODUCED),
        (ratio(1.10), FLOOR, NOT_REPRODUCED),
        (ratio(1.00, 0.10), FLOOR, CANNOT_TELL),  # may be 10 % either way
        (ratio(1.00), math.inf, REPRODUCED),
        (ratio(0.90), 0.2, CANNOT_TELL),  # 10 % that may be noise
    ],
)
def test_no_effects(found: Ratio | None, floor: float, expected: str) -> None:
    assert judge_no_effect(found, floor) == expected


def latency(
    verdict: str, to_baseline: Ratio | None, to_parent: Ratio | None = None, embedding: float = 0.06
) -> Latency:
    stages = {"segmentation": 0.03, "embedding": embedding, "rest": 0.01}
    return Latency(0.1, 0.0, {}, stages, to_baseline, to_parent, verdict, verdict, 99)


def pipeline(**latencies: Latency) -> Kind:
    named = {name.replace("_", "-"): value for name, value in latencies.items()}
    return Kind({"baseline": latency("reference", None), **named}, FLOOR, {}, 0)


def accuracy(*errors: float) -> Accuracy:
    """Files of 100 s each with so many seconds of error: points of DER."""
    nothing = Components(100, 0, 0, 0)
    return Accuracy(tuple(FileScore("a", Components(100, e, 0, 0), nothing, 1.0, 1.0, ()) for e in errors))


def judged(*args: object) -> dict[str, str]:
    return {claim.paper: claim.judgement for claim in claims(*args)}  # type: ignore[arg-type]


def test_nothing_measured_nothing_told() -> None:
    found = claims(None, {}, {}, {})
    assert len(found) >= 12
    assert {claim.judgement for claim in found} == {CANNOT_TELL}
    assert len({claim.paper for claim in found}) == len(found)


def only(found: dict[str, str], words: str) -> str:
    (judgement,) = [value for key, value in found.items() if words in key]
    return judgement


def test_claims_of_latency_rest_on_the_parent() -> None:
    kind = pipeline(
        distilled=latency("faster", ratio(0.9), ratio(0.9)),
        distilled_fused=latency("faster", ratio(0.9), ratio(1.0)),
        distilled_onnx=latency("within noise", ratio(1.0), ratio(1.6)),
        distilled_pruned_structured=latency("faster", ratio(0.9), ratio(1.0)),
        distilled_pruned_unstructured=latency("slower", ratio(1.2), ratio(1.3)),
    )
    found = judged(kind, {}, {}, {})
    assert only(found, "distillation: pipeline") == REPRODUCED
    assert only(found, "layer fusion: 7.3") == NOT_REPRODUCED
    assert only(found, "ONNX: 54.7") == REPRODUCED
    assert found["structured pruning: no faster"] == REPRODUCED
    assert found["unstructured pruning: no faster"] == NOT_REPRODUCED
    assert only(found, "int8: 8.1") == CANNOT_TELL


def test_claims_of_size() -> None:
    sizes = {
        "distilled": 13.61,
        "distilled-pruned-structured": 13.61,
        "distilled-pruned-unstructured": 6.0,
        "distilled-int8": 9.22,
        "distilled-onnx": None,
    }
    found = judged(None, {}, sizes, {})
    assert found["structured pruning: no smaller"] == REPRODUCED
    assert found["unstructured pruning: no smaller"] == NOT_REPRODUCED
    assert only(found, "int8: 32 % smaller") == REPRODUCED
    assert only(found, "ONNX: same size") == CANNOT_TELL


def test_claims_of_der() -> None:
    names = ["baseline", "distilled", "distilled-fused", "distilled-int8", "distilled-onnx"]
    scores = dict(zip(names, [accuracy(20, 22), accuracy(25, 27), accuracy(25, 27), accuracy(26, 28), accuracy(20, 32)], strict=True))  # fmt: skip  # noqa: E501
    trained = dict.fromkeys(names, True)
    found = judged(None, scores, {}, trained)
    assert only(found, "distillation: DER") == REPRODUCED  # 5 points, as in either file
    assert only(found, "fusion: same DER") == REPRODUCED
    assert only(found, "int8: same DER") == NOT_REPRODUCED
    assert only(found, "ONNX: same DER") == CANNOT_TELL  # -5 and +5 points
    assert only(judged(None, scores, {}, trained | {"distilled": False}), "distillation: DER") == CANNOT_TELL
    assert only(judged(None, {}, {}, trained), "distillation: DER") == CANNOT_TELL


def test_claim_of_the_largest_share() -> None:
    words = "largest share"
    assert only(judged(pipeline(), {}, {}, {}), words) == REPRODUCED
    small = Kind({"baseline": latency("reference", None, embedding=0.02)}, FLOOR, {}, 0)
    assert only(judged(small, {}, {}, {}), words) == NOT_REPRODUCED


TOLERANCES = {"baseline": 0.05, "quick": 1.0, "quicker": 1.0, "quickest": 1.0, "slow": 1.0}
SCORES = {
    "baseline": accuracy(20, 20),
    "quick": accuracy(20, 20),
    "quicker": accuracy(20.5, 20.5),
    "quickest": accuracy(30, 30),
}
TRAINED = dict.fromkeys(TOLERANCES, True)
KIND = pipeline(
    quick=latency("faster", ratio(0.9)),
    quicker=latency("faster", ratio(0.8)),
    quickest=latency("faster", ratio(0.5)),
    slow=latency("slower", ratio(1.5)),
)


def test_answer_is_the_fastest_within_tolerance() -> None:
    said = answer(KIND, SCORES, TOLERANCES, TRAINED)
    assert said.startswith("Answer: quicker is the fastest within tolerance, pipeline latency 80.0 [79.0, 81.0] %")
    assert "DER +0.50 points" in said
    assert "not resolved" not in said
    assert said.endswith("Faster, but left out: quickest (DER +10.00 points).")
    assert "\n" not in said


def test_answer_leaves_out_random_weights_and_what_was_not_scored() -> None:
    said = answer(KIND, SCORES, TOLERANCES, TRAINED | {"quicker": False})
    assert said.startswith("Answer: quick is the fastest")
    assert "quicker (untrained)" in said
    unscored = {name: score for name, score in SCORES.items() if name != "quicker"}
    said = answer(KIND, unscored, TOLERANCES, TRAINED)
    assert said.startswith("Answer: quick is the fastest")
    assert "quicker (accuracy not measured)" in said


def test_answer_says_when_little_audio_cannot_tell() -> None:
    spread = SCORES | {"quicker": accuracy(17, 24)}  # +0.5 points, from -3 to +4
    assert "+0.50 points (not resolved" in answer(KIND, spread, TOLERANCES, TRAINED)


def test_answer_without_a_faster_one() -> None:
    none = "Answer: none distinguishable from the baseline."
    assert answer(pipeline(), SCORES, TOLERANCES, TRAINED) == none
    noisy = pipeline(quick=latency("within noise", ratio(0.99)), slow=latency("slower", ratio(1.5)))
    assert answer(noisy, SCORES, TOLERANCES, TRAINED) == none
    untrained = answer(KIND, SCORES, TOLERANCES, dict.fromkeys(TOLERANCES, False))
    assert untrained.startswith(
        "Answer: none within tolerance is distinguishable from the baseline. Faster, but left out"
    )
    assert answer(None, {}, {}, {}) == "Answer: the pipeline was not measured."
