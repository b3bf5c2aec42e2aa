"""What a run says of the paper's findings, and the answer to the user: truth tables by hand."""

import math
from collections.abc import Sequence

import pytest

from bench.accuracy.der import Accuracy, FileScore
from bench.accuracy.errors import Components
from bench.accuracy.evidence import Evidence
from bench.accuracy.verdict import Judgement, Verdict
from bench.latency.results import Kind, Latency
from bench.report.claims import CANNOT_TELL, NOT_REPRODUCED, REPRODUCED, answer, claims, judge_effect, judge_no_effect
from bench.statistics import Ratio

FLOOR = 0.02
NOTHING = Components(100, 0, 0, 0)


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


def heard(*errors: float) -> list[Accuracy]:
    """One file of 100 s under perturbations with so many seconds of error each: points of DER."""
    return [
        Accuracy(
            (FileScore("a", parts, NOTHING, 1.0, 1.0, (), (), (parts,), (NOTHING,), 100.0, f"labels {i} {error}"),)
        )
        for i, error in enumerate(errors)
        for parts in [Components(100, error, 0, 0)]
    ]


def evidence(**errors: Sequence[float]) -> Evidence:
    named = {name.replace("_", "-"): heard(*of) for name, of in errors.items()}
    return Evidence(named, len(named) - 1, {"a": ("ann",)})


def judged(*args: object) -> dict[str, str]:
    return {claim.paper: claim.judgement for claim in claims(*args)}  # type: ignore[arg-type]


def test_nothing_measured_nothing_told() -> None:
    found = claims(None, None, {}, {})
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
    found = judged(kind, None, {}, {})
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
    found = judged(None, None, sizes, {})
    assert found["structured pruning: no smaller"] == REPRODUCED
    assert found["unstructured pruning: no smaller"] == NOT_REPRODUCED
    assert only(found, "int8: 32 % smaller") == REPRODUCED
    assert only(found, "ONNX: same size") == CANNOT_TELL


def test_claims_of_der() -> None:
    """The whole interval must lie within the tolerance around the paper's figure, or without it."""
    base = [20 + 0.01 * (i % 3) for i in range(16)]
    found = evidence(
        baseline=base,
        distilled=[e + 5 + 0.02 * (i % 2) for i, e in enumerate(base)],
        distilled_fused=[e + 5 + 0.02 * (i % 2) for i, e in enumerate(base)],  # other labels would be other digests
        distilled_int8=[e + 7 for e in base],
        distilled_onnx=[e + 5 + 3 * (-1) ** i for i, e in enumerate(base)],
        distilled_pruned_unstructured=[e + 5 + 0.02 * (i % 2) for i, e in enumerate(base)],
        distilled_pruned_structured=[e + 5 + 0.01 * (i % 4) for i, e in enumerate(base)],
    )
    trained = dict.fromkeys(found.heard, True)
    told = judged(None, found, {}, trained)
    assert only(told, "distillation: DER") == REPRODUCED  # 5 points
    assert only(told, "fusion: same DER") == REPRODUCED  # the same labels
    assert only(told, "int8: same DER") == NOT_REPRODUCED
    assert only(told, "ONNX: same DER") == CANNOT_TELL  # 3 points either way
    assert told["unstructured pruning: DER + 0.48 points"] == CANNOT_TELL  # the same labels show no effect
    assert told["structured pruning: DER + 0.07 points"] == REPRODUCED
    assert only(judged(None, found, {}, trained | {"distilled": False}), "distillation: DER") == CANNOT_TELL
    assert only(judged(None, None, {}, trained), "distillation: DER") == CANNOT_TELL
    few = evidence(baseline=base[:4], distilled=[e + 5 for e in base[:4]])
    assert only(judged(None, few, {}, trained), "distillation: DER") == CANNOT_TELL


def test_claim_of_the_largest_share() -> None:
    words = "largest share"
    assert only(judged(pipeline(), None, {}, {}), words) == REPRODUCED
    small = Kind({"baseline": latency("reference", None, embedding=0.02)}, FLOOR, {}, 0)
    assert only(judged(small, None, {}, {}), words) == NOT_REPRODUCED


def verdict(said: Verdict, points: float, identical: bool = False) -> Judgement:
    return Judgement(said, points, points - 0.25, points + 0.25, conditional=True, identical=identical)


JUDGED = {
    "quick": verdict("within tolerance", 0.0, identical=True),
    "quicker": verdict("within tolerance", 0.5),
    "quickest": verdict("worse", 10.0),
}
TRAINED = dict.fromkeys(["baseline", "quick", "quicker", "quickest", "slow"], True)
KIND = pipeline(
    quick=latency("faster", ratio(0.9)),
    quicker=latency("faster", ratio(0.8)),
    quickest=latency("faster", ratio(0.5)),
    slow=latency("slower", ratio(1.5)),
)


def test_answer_is_the_fastest_within_tolerance() -> None:
    said = answer(KIND, JUDGED, TRAINED)
    assert said.startswith("Answer: quicker is the fastest within tolerance, pipeline latency 80.0 [79.0, 81.0] %")
    assert "DER +0.50 [+0.25, +0.75] points." in said
    assert "Not resolved" not in said
    assert said.endswith("Faster, but left out: quickest (DER +10.00 [+9.75, +10.25] points).")
    assert "\n" not in said


def test_answer_leaves_out_random_weights_and_what_was_not_scored() -> None:
    said = answer(KIND, JUDGED, TRAINED | {"quicker": False})
    assert said.startswith("Answer: quick is the fastest") and "DER +0.00 points (the same labels)" in said
    assert "quicker (untrained)" in said
    said = answer(KIND, {name: found for name, found in JUDGED.items() if name != "quicker"}, TRAINED)
    assert said.startswith("Answer: quick is the fastest")
    assert "quicker (accuracy not measured)" in said


def test_answer_names_the_fastest_that_is_not_resolved_beside_it() -> None:
    said = answer(KIND, JUDGED | {"quickest": verdict("not resolved", 0.1)}, TRAINED)
    assert said.startswith("Answer: quicker is the fastest within tolerance")
    assert "Not resolved: quickest, pipeline latency 50.0 [49.0, 51.0] % of the baseline's, DER +0.10 [" in said
    slower = answer(KIND, JUDGED | {"quick": verdict("not resolved", 0.1)}, TRAINED)
    assert "Not resolved" not in slower  # what is open and slower than the answer is no better one
    none = answer(KIND, {name: verdict("not resolved", 0.1) for name in JUDGED}, TRAINED)
    assert none.startswith(
        "Answer: none within tolerance is distinguishable from the baseline. Not resolved: quickest,"
    )
    assert none.endswith("points; nor are quicker, quick.")


def test_answer_without_a_faster_one() -> None:
    none = "Answer: none distinguishable from the baseline."
    assert answer(pipeline(), JUDGED, TRAINED) == none
    noisy = pipeline(quick=latency("within noise", ratio(0.99)), slow=latency("slower", ratio(1.5)))
    assert answer(noisy, JUDGED, TRAINED) == none
    untrained = answer(KIND, JUDGED, dict.fromkeys(TRAINED, False))
    assert untrained.startswith(
        "Answer: none within tolerance is distinguishable from the baseline. Faster, but left out"
    )
    assert answer(None, {}, {}) == "Answer: the pipeline was not measured."
