"""What was heard of each variant, under how many perturbations, and what that says. Pure.

Looks are at `LOOKS` perturbations, whenever a run gets that far, in this run or a later one that finds what was kept:
the error that a look may spend depends on its place alone, and so a verdict on the evidence alone, not on the clock.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

import variants
from bench.statistics import Crossed, crossed_difference
from variants.arrays import Doubles

from .der import Accuracy, disagreement
from .errors import Components
from .verdict import Judgement, equal, judge, level, unheard

LOOKS = (8, 16, 32, 64, 128)  # perturbations; flips are rare, and before 8 were heard an interval knows too few


@dataclass(frozen=True)
class Evidence:
    """Accuracy of each variant under perturbations 0, 1, 2, ...; 0 is the recordings as they are.

    judged: how many variants share the error of a run. voices: who speaks in each file, by its name.
    """

    heard: Mapping[str, Sequence[Accuracy]]
    judged: int
    voices: Mapping[str, Collection[str]]

    def judge(self, name: str, tolerance: float, over: str = "baseline") -> Judgement | None:
        """Whether its DER is at most `tolerance` points above another's; None without scored speech.

        What is exact, and says what its parent says, is as right as that.
        """
        itself, name = min(len(self.heard[name]), len(self.heard[over])), self.speaker(name, over)
        count = min(len(self.heard[name]), len(self.heard[over]))
        mine, theirs = self.heard[name][:count], self.heard[over][:count]
        points = mine[0].increase_over(theirs[0])
        if points is None:
            return None
        if name == over or (_labels(mine) == _labels(theirs) and count >= LOOKS[0]):
            return replace(equal(tolerance), heard=itself)
        look = last_look(count)
        if not look:
            return unheard(points, count)
        errors, scored, groups = self._differences(mine[:look], theirs[:look])
        found = judge(errors, scored, groups, tolerance, self._confidence(look), fixed=True)
        wider = crossed_difference(errors, scored, groups)
        return replace(found, heard=look, others=(wider.low, wider.high))

    def speaker(self, name: str, over: str = "baseline") -> str:
        """The variant whose labels these are: the farthest ancestor down from which each is exact and the same."""
        entry = variants.get(name) if name != over else None
        if entry is None or not entry.exact or entry.parent is None or entry.parent not in self.heard:
            return name
        both = list(zip(self.heard[name], self.heard[entry.parent], strict=False))
        same = all(_labels([mine]) == _labels([theirs]) for mine, theirs in both)
        return self.speaker(entry.parent, over) if same else name

    def since(self, name: str, stored: Sequence[float], tolerance: float) -> Judgement | None:
        """Whether its DER is at most `tolerance` points above a stored run's of the same audio.

        stored: DER under perturbations 0, 1, 2, ... None without scored speech.
        """
        now = [a.der for a in self.heard[name][: len(stored)]]
        more = np.array([der - then for der, then in zip(now, stored, strict=False) if der is not None])
        if not len(more):
            return None
        if not more.any():
            return replace(equal(tolerance), heard=len(more))
        look = last_look(len(more))
        if not look:
            return unheard(float(more.mean()), len(more))
        errors, scored = [more[None, :look] / 100], [np.ones(1)]
        found = judge(errors, scored, [0], tolerance, self._confidence(look), fixed=True)
        return replace(found, heard=look)

    def _confidence(self, look: int) -> float:
        return level(look / LOOKS[-1], last_look(look - 1) / LOOKS[-1], self.judged)

    def interval(self, name: str, over: str = "baseline") -> Crossed:
        """The DER difference under all perturbations that both heard, with its 95 % interval on these recordings."""
        count = min(len(self.heard[name]), len(self.heard[over]))
        return crossed_difference(*self._differences(self.heard[name][:count], self.heard[over][:count]), fixed=True)

    @property
    def twin(self) -> Crossed | None:
        """The control: the baseline under perturbations 1, 3, 5, ... less itself under 2, 4, 6, ...; None before 4."""
        one, other = self._pairs
        if len(one) < 2 or one[0].der is None:
            return None
        return crossed_difference(*self._differences(one, other), fixed=True)

    @property
    def pairs(self) -> int:
        """How many pairs the control has."""
        return len(self._pairs[1])

    @property
    def noise(self) -> float:
        """Largest DER difference between the two perturbations of a pair of the control, in points."""
        pairs = zip(*self._pairs, strict=True)
        return max(abs(one.der - other.der) for one, other in pairs if one.der is not None and other.der is not None)

    def unlike(self, name: str) -> Crossed | None:
        """Label disagreement with the baseline, less that of the baseline with itself under another perturbation.

        At or below 0, the variant's labels are as near to the baseline's as meaningless changes leave the baseline's
        own. None before 4 perturbations.
        """
        mine, found = self.heard[name][1:], self._apart
        pairs = min(len(mine), len(self._pairs[0]) * 2) // 2
        if pairs < 2:
            return None
        errors = []
        for i, own in enumerate(_unlike(mine[: 2 * pairs])):
            errors.append((own[:, ::2] + own[:, 1::2]) / 2 - found[i][:, :pairs])
        return self._of_labels(mine[0], errors)

    def disagreement(self, name: str) -> Crossed | None:
        """Label disagreement with the baseline under the same perturbation, the mean over all that it heard.

        What is exact and says what its parent says has its parent's. None before 4 perturbations.
        """
        mine = self.heard[self.speaker(name)]
        return self._of_labels(mine[0], _unlike(mine)) if len(mine) >= 4 else None

    @property
    def twins_disagreement(self) -> Crossed | None:
        """The control's: of the baseline with itself under another perturbation. None before 4."""
        return self._of_labels(self.heard["baseline"][0], self._apart) if self.pairs >= 2 else None

    def _of_labels(self, accuracy: Accuracy, errors: Sequence[Doubles]) -> Crossed:
        """The mean of seconds of labels that differ, (blocks, perturbations), by file, in points of `accuracy`'s."""
        scored = [_scored(file.disagreement_blocks) for file in accuracy.files]
        groups = clusters([self.voices.get(file.name, ()) for file in accuracy.files])
        return crossed_difference(errors, scored, groups, fixed=True)

    @cached_property
    def _pairs(self) -> tuple[Sequence[Accuracy], Sequence[Accuracy]]:
        """The baseline's disjoint pairs: one perturbation in two of them would be the same draw twice."""
        other = self.heard["baseline"][2::2]
        return self.heard["baseline"][1 : 1 + 2 * len(other) : 2], other

    @cached_property
    def _apart(self) -> list[Doubles]:
        """Seconds by which the labels of each pair differ, (blocks, pairs), by file."""
        found = []
        for i, file in enumerate(self.heard["baseline"][0].files):
            turns = [(a.files[i].turns, b.files[i].turns) for a, b in zip(*self._pairs, strict=True)]
            found.append(_errors([disagreement(a, b, file.duration) for a, b in turns]))
        return found

    def _differences(
        self, mine: Sequence[Accuracy], theirs: Sequence[Accuracy]
    ) -> tuple[list[Doubles], list[Doubles], list[int]]:
        """Seconds of error more, (blocks, perturbations), seconds of scored speech, (blocks,), and cluster by file."""
        files = [i for i, file in enumerate(mine[0].files) if file.der is not None]
        ours, others = ([_errors([a.files[i].der_blocks for a in side]) for i in files] for side in (mine, theirs))
        return (
            [one - other for one, other in zip(ours, others, strict=True)],
            [_scored(mine[0].files[i].der_blocks) for i in files],
            clusters([self.voices.get(mine[0].files[i].name, ()) for i in files]),
        )


def last_look(count: int) -> int:
    """The last look that so many perturbations allow; 0 for none."""
    return max((look for look in LOOKS if look <= count), default=0)


def need(evidence: Evidence, name: str, judged: Judgement) -> str:
    """What would resolve a verdict on a variant, were estimate and spread to stay, in words."""
    if not judged.needed:
        return f"heard {judged.heard} of {LOOKS[0]} perturbations"
    name, count = evidence.speaker(name), judged.needed.perturbations
    look = next((look for look in LOOKS if count is not None and look >= count), None)
    if look is None:
        return f"more than {LOOKS[-1]} perturbations of this audio: take more of it"
    left = sum((look - len(evidence.heard[one])) * seconds(evidence.heard[one]) for one in ("baseline", name))
    return f"{look} perturbations, about {math.ceil(max(left, 1.0) / 60)} min more"


def seconds(replicas: Sequence[Accuracy]) -> float:
    """What hearing all files once takes, on average."""
    return sum(file.seconds for accuracy in replicas for file in accuracy.files) / len(replicas)


def clusters(voices: Sequence[Collection[str]]) -> list[int]:
    """A number for each file, equal where they share voices, directly or through others; one of its own without any."""
    groups: list[set[str]] = []
    for mine in map(set, voices):
        joined = [group for group in groups if group & mine]
        groups = [group for group in groups if not group & mine] + [mine.union(*joined)]
    return [next((i for i, group in enumerate(groups) if group & set(mine)), -1 - n) for n, mine in enumerate(voices)]


def _labels(accuracies: Sequence[Accuracy]) -> list[list[str]]:
    return [[file.labels for file in accuracy.files] for accuracy in accuracies]


def _unlike(replicas: Sequence[Accuracy]) -> list[Doubles]:
    """Seconds by which labels differ from the baseline's, (blocks, perturbations), by file."""
    files = range(len(replicas[0].files))
    return [_errors([accuracy.files[i].disagreement_blocks for accuracy in replicas]) for i in files]


def _errors(replicas: Sequence[Sequence[Components]]) -> Doubles:
    """Seconds of error, (blocks, perturbations)."""
    return np.array([[block.error for block in blocks] for blocks in replicas]).T


def _scored(blocks: Sequence[Components]) -> Doubles:
    return np.array([block.total for block in blocks])
