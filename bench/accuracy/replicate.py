"""Hearing the same audio again under other perturbations, until it is known or the time is over."""

from collections.abc import Callable, Collection, Mapping, Sequence

from .der import Accuracy
from .evidence import LOOKS, Evidence, seconds
from .scoring import Scorer


def replicate(
    scorer: Scorer,
    candidates: Mapping[str, float],
    voices: Mapping[str, Collection[str]],
    left: Callable[[], float],
    progress: Callable[[float], None] = lambda done: None,
) -> Evidence:
    """Evidence on all models: perturbation 0 of each, and of the candidates as many as it takes, look by look.

    candidates: tolerance in points by name. left: seconds until it must end. The fastest that are not decided hear
    their next perturbations first: one of them is the answer to what can be run.
    """
    total = max(left(), 1e-9)
    heard: dict[str, list[Accuracy]] = {name: [found] for name, found in scorer.accuracy(scorer.models).items()}
    evidence = Evidence(heard, max(1, len(candidates)), voices)
    fastest = sorted(candidates, key=lambda name: seconds(heard[name]))
    pending = _pending(evidence, candidates, fastest)
    for look in LOOKS:
        for name in pending:
            for one in ("baseline", evidence.speaker(name)):
                for perturbation in range(len(heard[one]), look):
                    for part in range(len(scorer.task.parts)):
                        if left() <= 0:
                            return evidence
                        progress(min(1.0, 1 - left() / total))
                        scorer.file([one], part, perturbation)
                    heard[one].append(scorer.accuracy([one], perturbation)[one])
        pending = _pending(evidence, candidates, pending)
    return evidence


def _pending(evidence: Evidence, candidates: Mapping[str, float], names: Sequence[str]) -> list[str]:
    """Those that more perturbations may decide."""
    found = ((name, evidence.judge(name, candidates[name])) for name in names)
    return [name for name, judged in found if judged is not None and judged.verdict == "not resolved"]
