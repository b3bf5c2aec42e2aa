"""The DIART paper's findings, and what one run says of each: reproduced, not reproduced, or cannot tell."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bench.accuracy.evidence import Evidence
from bench.accuracy.verdict import Judgement
from bench.latency.results import Kind
from bench.statistics import Ratio, verdict

from .format import show_interval, show_points

REPRODUCED, NOT_REPRODUCED, CANNOT_TELL = "reproduced", "not reproduced", "cannot tell"
SAME = 0.05  # relative latency or size change, or DER points, up to which two things count as the same here


@dataclass(frozen=True)
class Claim:
    """One finding: the paper's words and figure, this run's figure, and the judgement."""

    paper: str
    here: str
    judgement: str


def judge_effect(ratio: Ratio | None, paper: float, floor: float) -> str:
    """Whether a latency ratio shows the paper's effect: its direction, and at least half of its size."""
    if ratio is None:
        return CANNOT_TELL
    seen = verdict(ratio, floor)
    if seen == "within noise":
        return CANNOT_TELL if ratio.low <= paper <= ratio.high or abs(paper - 1) <= floor else NOT_REPRODUCED
    same_direction = (ratio.estimate < 1) == (paper < 1)
    return REPRODUCED if same_direction and abs(ratio.estimate - 1) >= abs(paper - 1) / 2 else NOT_REPRODUCED


def judge_no_effect(ratio: Ratio | None, floor: float) -> str:
    """Whether a latency ratio shows no change of more than `SAME`."""
    if ratio is None:
        return CANNOT_TELL
    if verdict(ratio, floor) != "within noise" and abs(ratio.estimate - 1) > SAME:
        return NOT_REPRODUCED
    return REPRODUCED if ratio.low >= 1 - SAME and ratio.high <= 1 + SAME else CANNOT_TELL


def judge_difference(found: Judgement, paper: float, tolerance: float) -> str:
    """Whether a DER difference is the paper's, to `tolerance` points: an equivalence test, by the whole interval.

    The same labels on this audio are the same DER there, and say nothing of an effect that was seen elsewhere.
    """
    if found.identical:
        return REPRODUCED if paper == 0 else CANNOT_TELL
    if paper - tolerance <= found.low and found.high <= paper + tolerance:
        return REPRODUCED
    return NOT_REPRODUCED if found.low > paper + tolerance or found.high < paper - tolerance else CANNOT_TELL


def claims(
    pipeline: Kind | None,
    evidence: Evidence | None,
    sizes: Mapping[str, float | None],
    trained: Mapping[str, bool],
) -> list[Claim]:
    """Judge every finding; what was not measured cannot be told."""
    floor = pipeline.floor if pipeline else float("inf")
    latencies = pipeline.latencies if pipeline else {}

    def ratio(name: str) -> Ratio | None:
        return latencies[name].to_parent if name in latencies else None

    def speed(words: str, name: str, paper: float) -> Claim:
        return Claim(words, _shown(ratio(name)), judge_effect(ratio(name), paper, floor))

    def same_speed(words: str, name: str) -> Claim:
        return Claim(words, _shown(ratio(name)), judge_no_effect(ratio(name), floor))

    def size(words: str, name: str, parent: str, paper: float) -> Claim:
        mine, theirs = sizes.get(name), sizes.get(parent)
        if mine is None or theirs is None:
            return Claim(words, "not measured", CANNOT_TELL)
        close = abs(mine / theirs - paper) <= SAME / 10
        return Claim(words, f"x{mine / theirs:.3f}", REPRODUCED if close else NOT_REPRODUCED)

    def der(words: str, name: str, parent: str, paper: float, tolerance: float) -> Claim:
        if evidence is None or not {name, parent} <= {*evidence.heard}:
            return Claim(words, "not measured", CANNOT_TELL)
        if not trained.get(name, False):
            return Claim(words, "no trained student", CANNOT_TELL)
        found = evidence.judge(name, math.inf, parent)
        if found is None:
            return Claim(words, "no reference", CANNOT_TELL)
        return Claim(words, show_points(found), judge_difference(found, paper, tolerance))

    structured, unstructured = "distilled-pruned-structured", "distilled-pruned-unstructured"
    return [
        speed("distillation: pipeline 9.8 % faster", "distilled", 0.902),
        der("distillation: DER + 4.87 points", "distilled", "baseline", 4.87, 2.0),
        same_speed("structured pruning: no faster", structured),
        size("structured pruning: no smaller", structured, "distilled", 1.0),
        der("structured pruning: DER + 0.07 points", structured, "distilled", 0.07, 0.5),
        same_speed("unstructured pruning: no faster", unstructured),
        size("unstructured pruning: no smaller", unstructured, "distilled", 1.0),
        der("unstructured pruning: DER + 0.48 points", unstructured, "distilled", 0.48, 0.5),
        speed("layer fusion: 7.3 % faster than distilled", "distilled-fused", 0.9265),
        der("layer fusion: same DER", "distilled-fused", "distilled", 0.0, SAME),
        speed("int8: 8.1 % faster than distilled", "distilled-int8", 0.9194),
        size("int8: 32 % smaller", "distilled-int8", "distilled", 9.22 / 13.61),
        der("int8: same DER", "distilled-int8", "distilled", 0.0, SAME),
        speed("ONNX: 54.7 % slower than distilled", "distilled-onnx", 1.5474),
        size("ONNX: same size", "distilled-onnx", "distilled", 1.0),
        der("ONNX: same DER", "distilled-onnx", "distilled", 0.0, SAME),
        _largest_share(pipeline),
    ]


def _shown(ratio: Ratio | None) -> str:
    return "not measured" if ratio is None else f"{show_interval(ratio)} % of its parent"


def _largest_share(pipeline: Kind | None) -> Claim:
    words = "the embedding has the largest share of the latency"
    if pipeline is None or "baseline" not in pipeline.latencies or not pipeline.latencies["baseline"].stages:
        return Claim(words, "not measured", CANNOT_TELL)
    stages = pipeline.latencies["baseline"].stages
    total = sum(stages.values())
    here = ", ".join(f"{stage} {seconds / total:.0%}" for stage, seconds in stages.items())
    largest = max(stages, key=lambda stage: stages[stage])
    return Claim(words, here, REPRODUCED if largest == "embedding" else NOT_REPRODUCED)


def answer(
    pipeline: Kind | None,
    judgements: Mapping[str, Judgement],
    trained: Mapping[str, bool],
) -> str:
    """One line for the user: the fastest variant within its tolerance here, and the fastest that may yet be."""
    if pipeline is None:
        return "Answer: the pipeline was not measured."
    faster = {
        name: latency.to_baseline
        for name, latency in pipeline.latencies.items()
        if latency.verdict == "faster" and latency.to_baseline is not None
    }
    if not faster:
        return "Answer: none distinguishable from the baseline."
    fit: dict[str, str] = {}
    open_: dict[str, str] = {}
    left_out = []
    for name, ratio in sorted(faster.items(), key=lambda item: item[1].estimate):
        judged = judgements.get(name)
        if not trained.get(name, False):
            left_out.append(f"{name} (untrained)")
        elif judged is None:
            left_out.append(f"{name} (accuracy not measured)")
        elif judged.verdict == "worse":
            left_out.append(f"{name} (DER {show_points(judged)})")
        elif judged.verdict == "within tolerance" or not fit:  # what is open and slower than the answer is none
            side = fit if judged.verdict == "within tolerance" else open_
            side[name] = f"pipeline latency {show_interval(ratio)} % of the baseline's, DER {show_points(judged)}"
    best, undecided = (next(iter(side.items()), None) for side in (fit, open_))
    if best is None:
        parts = ["Answer: none within tolerance is distinguishable from the baseline."]
    else:
        parts = [f"Answer: {best[0]} is the fastest within tolerance, {best[1]}."]
    if undecided is not None:
        also = f"; nor are {', '.join([*open_][1:])}" if len(open_) > 1 else ""
        parts.append(f"Not resolved: {undecided[0]}, {undecided[1]}{also}.")
    if left_out:
        parts.append(f"Faster, but left out: {', '.join(left_out)}.")
    return " ".join(parts)
