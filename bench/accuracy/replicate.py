"""Hearing the same audio again under other perturbations, until it is known or the time is over."""

from collections.abc import Callable, Collection, Mapping, Sequence

from .der import Accuracy
from .evidence import LOOKS, Evidence, seconds
from .hearing import Job, Told
from .scoring import Scorer


def replicate(
    scorer: Scorer,
    candidates: Mapping[str, float],
    voices: Mapping[str, Collection[str]],
    left: Callable[[], float],
    progress: Told = lambda done: None,
) -> Evidence:
    """Evidence on all models: perturbation 0 of each, and of the candidates as many as it takes, look by look.

    candidates: tolerance in points by name. left: seconds until it must end. The fastest that are not decided hear
    their next perturbations first: one of them is the answer to what can be run.
    """
    total = max(left(), 1e-9)
    heard: dict[str, list[Accuracy]] = {name: [found] for name, found in scorer.accuracy(scorer.models).items()}
    evidence = Evidence(heard, max(1, len(candidates)), voices)

    def told(_: float, *pace: str) -> None:
        progress(min(1.0, 1 - left() / total), *pace)

    def hear(names: Collection[str], look: int) -> bool:
        """Whether there was time to let these hear so many perturbations; those that all files have count."""
        parts = range(len(scorer.task.parts))
        jobs = [Job((name,), i, p) for name in names for p in range(len(heard[name]), look) for i in parts]
        ended = scorer.run(jobs, left, told)
        for name in names:
            while len(heard[name]) < look and (found := scorer.complete([name], len(heard[name]))):
                heard[name].append(found[name])
        for name in scorer.failed:
            heard.pop(name, None)
        return ended

    pending = _pending(evidence, candidates, sorted(heard, key=lambda name: seconds(heard[name])))
    for look in LOOKS:
        speakers = dict.fromkeys(map(evidence.speaker, pending))
        # a variant's score holds it against the baseline's labels: these come first
        if not (hear(["baseline"] if pending else [], look) and hear([*speakers], look)):
            break
        pending = _pending(evidence, candidates, pending)
    return evidence


def _pending(evidence: Evidence, candidates: Mapping[str, float], names: Sequence[str]) -> list[str]:
    """Those that more perturbations may decide."""
    there = [name for name in names if name in candidates and name in evidence.heard]
    found = ((name, evidence.judge(name, candidates[name])) for name in there)
    return [name for name, judged in found if judged is not None and judged.verdict == "not resolved"]
