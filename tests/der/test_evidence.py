"""Evidence over perturbations: verdicts, the control, and what is heard next; by hand."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.accuracy.der import Accuracy, FileScore, Turn
from bench.accuracy.errors import Components
from bench.accuracy.evidence import LOOKS, Evidence, clusters, need, seconds
from bench.accuracy.replicate import replicate
from bench.accuracy.scoring import Scorer


def score(
    error: float, unlike: float = 0.0, labels: str = "", said: Sequence[Turn] = ((0.0, 10.0, "a"),), name: str = "a"
) -> FileScore:
    """A file of one block with 100 s of speech: errors are points."""
    der, disagreement = Components(100.0, error, 0.0, 0.0), Components(100.0, 0.0, 0.0, unlike)
    said = tuple(said)
    return FileScore(
        name, der, disagreement, 1.0, 1.0, (), said, (der,), (disagreement,), 10.0, labels or f"{error}", 2.0
    )


def replicas(*errors: float, labels: str = "") -> list[Accuracy]:
    return [Accuracy((score(error, labels=labels),)) for error in errors]


def evidence(judged: int = 1, **heard: list[Accuracy]) -> Evidence:
    return Evidence({name.replace("_", "-"): of for name, of in heard.items()}, judged, {"a": ("ann",)})


BASE = [20 + math.sin(i) for i in range(16)]
MORE = [0.4 + 0.1 * math.cos(3 * i) for i in range(16)]


@pytest.mark.parametrize(
    ("tolerance", "expected"), [(1.0, "within tolerance"), (0.0, "worse"), (0.4, "not resolved"), (0.2, "worse")]
)
def test_a_verdict_rests_on_the_mean_difference_under_equal_perturbations(tolerance: float, expected: str) -> None:
    found = evidence(baseline=replicas(*BASE), distilled=replicas(*np.add(BASE, MORE))).judge("distilled", tolerance)
    assert found is not None and found.verdict == expected
    assert found.points == pytest.approx(np.mean(MORE)) and found.heard == 16
    # a look at 16 of 128, after one at 8, may spend 0.01 (sqrt(16 / 128) - sqrt(8 / 128)), at either end
    error = 0.01 * (math.sqrt(1 / 8) - math.sqrt(1 / 16))
    reach = stats.t.ppf(1 - error, 15) * np.std(MORE, ddof=1) / 4
    assert (found.low, found.high) == pytest.approx((np.mean(MORE) - reach, np.mean(MORE) + reach))


def test_the_error_is_shared_and_the_looks_are_fixed() -> None:
    heard = {"baseline": replicas(*BASE), "distilled": replicas(*np.add(BASE, MORE))}
    alone, among = (evidence(judged, **heard).judge("distilled", 1.0) for judged in (1, 12))
    assert alone and among and among.high > alone.high
    cut = {name: of[:11] for name, of in heard.items()}
    eight = {name: of[:8] for name, of in heard.items()}
    assert evidence(**cut).judge("distilled", 1.0) == evidence(**eight).judge("distilled", 1.0)


def test_before_the_first_look_nothing_is_told() -> None:
    found = evidence(baseline=replicas(*BASE[:7]), distilled=replicas(*np.add(BASE[:7], 90))).judge("distilled", 0.0)
    assert found is not None and (found.verdict, found.heard, found.high) == ("not resolved", 7, math.inf)
    assert found.points == pytest.approx(90)


def test_equal_labels_are_equal_at_once_only_where_nothing_else_is_claimed() -> None:
    same = replicas(20.0, 21.0, labels="x")
    exact = evidence(baseline=same, shared_trunk=same).judge("shared-trunk", 0.05)
    assert exact is not None and exact.identical and exact.verdict == "within tolerance"
    early = evidence(baseline=same, distilled=same).judge("distilled", 1.0)
    assert early is not None and early.verdict == "not resolved"  # it may yet differ
    late = evidence(baseline=same * 4, distilled=same * 4).judge("distilled", 1.0)
    assert late is not None and late.identical
    other = evidence(baseline=same * 4, distilled=[*same * 3, *replicas(20.0, 21.0, labels="y")])
    judged = other.judge("distilled", 1.0)
    assert judged is not None and not judged.identical


def test_what_is_exact_is_as_right_as_what_it_repeats() -> None:
    """Its parent was heard often, itself once: that is enough while it says the same."""
    distilled = replicas(*np.add(BASE, MORE))
    found = evidence(baseline=replicas(*BASE), distilled=distilled, distilled_shared_trunk=distilled[:1])
    assert found.judge("distilled-shared-trunk", 1.0) == found.judge("distilled", 1.0)
    assert found.speaker("distilled-shared-trunk") == "distilled"
    own = found.judge("distilled-shared-trunk", 0.05, "distilled")
    assert own is not None and own.identical and own.heard == 1  # not as often as its parent
    other = evidence(baseline=replicas(*BASE), distilled=distilled, distilled_shared_trunk=replicas(1.0, labels="y"))
    judged = other.judge("distilled-shared-trunk", 1.0)
    assert judged is not None and (judged.verdict, judged.heard) == ("not resolved", 1)


def test_without_a_reference_nothing_is_judged() -> None:
    silent = [Accuracy((FileScore("a", None, Components(1, 0, 0, 0), 1.0, 1.0, ()),))] * 8
    assert evidence(baseline=silent, distilled=silent).judge("distilled", 1.0) is None


def test_the_twin_pairs_other_perturbations_each_of_them_once() -> None:
    found = evidence(baseline=replicas(99.0, 1.0, 2.0, 4.0, 8.0, 16.0)).twin  # 1 - 2 and 4 - 8
    assert found is not None and found.points == pytest.approx(-2.5)
    assert evidence(baseline=replicas(99.0, 1.0, 2.0, 4.0, 8.0, 16.0)).pairs == 2
    assert evidence(baseline=replicas(99.0, 1.0, 2.0, 4.0)).twin is None  # one pair has no spread
    assert evidence(baseline=replicas(99.0, 1.0, 2.0, 4.0, 8.0)).noise == 4


def test_disagreement_is_held_against_that_of_the_twin() -> None:
    """The baseline's own labels differ in 2 of 10 s from pair to pair; the variant's from them in 5 and 1 of 100 s."""
    one, other = ((0.0, 10.0, "a"),), ((0.0, 8.0, "a"), (8.0, 10.0, "b"))
    base = [Accuracy((score(20.0, said=said),)) for said in (one, one, other, one, other)]
    mine = [Accuracy((score(20.0, unlike),)) for unlike in (50.0, 5.0, 1.0, 3.0, 3.0)]
    found = evidence(baseline=base, distilled=mine).unlike("distilled")
    assert found is not None and found.points == pytest.approx(3 - 2)  # seconds of 100
    assert evidence(baseline=base[:3], distilled=mine[:3]).unlike("distilled") is None


def test_disagreement_is_the_mean_over_perturbations_beside_the_twins() -> None:
    """By hand: 5, 1, 3 and 7 of 100 s are 4 %; their mean's standard error times t of three degrees of freedom."""
    one, other = ((0.0, 10.0, "a"),), ((0.0, 8.0, "a"), (8.0, 10.0, "b"))
    base = [Accuracy((score(20.0, said=said),)) for said in (one, one, other, one, one)]
    mine = [Accuracy((score(20.0, unlike),)) for unlike in (5.0, 1.0, 3.0, 7.0)]
    found = evidence(baseline=base, distilled=mine)
    made = found.disagreement("distilled")
    assert made is not None and made.points == pytest.approx(4)
    assert made.high - 4 == pytest.approx(stats.t.ppf(0.975, 3) * np.std([5, 1, 3, 7], ddof=1) / 2)
    assert found.twins_disagreement is not None
    assert found.twins_disagreement.points == pytest.approx(1)  # 2 s of 100 in one pair, none in the other
    few = evidence(baseline=base[:4], distilled=mine[:3])
    assert few.disagreement("distilled") is None and few.twins_disagreement is None


def test_what_repeats_its_parent_has_its_disagreement() -> None:
    base = [Accuracy((score(20.0, labels=str(i)),)) for i in range(4)]
    found = evidence(baseline=base, shared_trunk=base[:1]).disagreement("shared-trunk")
    assert found is not None and (found.points, found.low, found.high) == (0, 0, 0)


@given(st.lists(st.sets(st.sampled_from("abcdef"), max_size=3), max_size=8))
def test_files_with_common_voices_are_one_cluster(voices: list[set[str]]) -> None:
    found = clusters(voices)
    for i, mine in enumerate(voices):
        for j, theirs in enumerate(voices):
            if mine & theirs:
                assert found[i] == found[j]
            if i != j and not mine:
                assert found[i] != found[j]
    if not set.intersection(*voices, set()) and all(not a & b for i, a in enumerate(voices) for b in voices[:i]):
        assert len(set(found)) == len(voices)


def test_clusters_join_through_others() -> None:
    assert clusters([{"a"}, {"b"}, {"a", "b"}, {"c"}]) in ([0, 0, 0, 1], [1, 1, 1, 0])


def test_what_it_would_take_is_said() -> None:
    heard = {"baseline": replicas(*BASE[:8]), "distilled": replicas(*np.add(BASE, MORE)[:8])}
    found = evidence(**heard)
    judged = found.judge("distilled", 0.45)
    assert judged is not None and judged.needed is not None and judged.needed.perturbations is not None
    look = next(look for look in LOOKS if look >= judged.needed.perturbations)
    assert need(found, "distilled", judged) == f"{look} perturbations, about {math.ceil((look - 8) * 4 / 60)} min more"
    assert seconds(heard["baseline"]) == 2.0
    near = found.judge("distilled", judged.points + 1e-3)
    assert near is not None and "more than 128" in need(found, "distilled", near)
    few = evidence(baseline=replicas(1.0), distilled=replicas(2.0))
    judged = few.judge("distilled", 1.0)
    assert judged is not None and need(few, "distilled", judged) == "heard 1 of 8 perturbations"


class FakeScorer(Scorer):
    """Whose variants err by what is given, on one file, at a cost in seconds of a made-up clock."""

    def __init__(self, more: dict[str, float], cost: dict[str, float]) -> None:
        self.more, self.cost, self.now = more, cost, 0.0
        self.models: Any = dict.fromkeys(["baseline", *more])
        self.task: Any = type("Task", (), {"parts": [None]})
        self.known, self.asked = {}, []
        self.damaged, self.failed, self.workers = set(), {}, None
        self.raises: tuple[str, int] | None = None

    def run(self, jobs: Any, left: Any = lambda: math.inf, progress: Any = None) -> bool:
        for job in jobs:
            for name in job.names:
                if (name, job.part, job.perturbation) in self.known:
                    continue
                if left() <= 0:
                    return False
                self.asked.append((name, job.perturbation))
                if self.raises == (name, job.perturbation):
                    self.failed[name] = "why"
                    continue
                self.now += self.cost.get(name, 1.0)
                noise = 0.01 * math.sin(7 * job.perturbation + len(name))
                made = score(20 + math.sin(job.perturbation) + self.more.get(name, 0.0) + noise, labels=f"{name}")
                self.known[name, job.part, job.perturbation] = made
        return True


def test_the_fastest_that_is_not_decided_hears_more_first() -> None:
    scorer = FakeScorer({"distilled": 0.0, "int8-static": 0.0}, {})
    candidates = {"distilled": 1.0, "int8-static": 1.0}
    pace = {"baseline": 9.0, "distilled": 5.0, "int8-static": 1.0}
    scorer.accuracy(scorer.models)
    for key, found in scorer.known.items():
        scorer.known[key] = FileScore(**{**vars(found), "seconds": pace[key[0]]})
    found = replicate(scorer, candidates, {"a": ("ann",)}, lambda: math.inf)
    order = [name for name, p in scorer.asked if p]
    assert order == ["baseline"] * 7 + ["int8-static"] * 7 + ["distilled"] * 7  # decided at the first look
    assert {len(of) for of in found.heard.values()} == {8} and found.judged == 2


def test_it_goes_on_while_it_is_open_and_ends_with_the_budget() -> None:
    scorer = FakeScorer({"distilled": 0.0}, {})
    found = replicate(scorer, {"distilled": 0.0}, {}, lambda: 40 - scorer.now)
    assert scorer.now == 40
    assert len(found.heard["baseline"]) == 24 and len(found.heard["distilled"]) == 16  # 2 + 14 + 16 + 8 seconds
    at_once = FakeScorer({"distilled": 5.0}, {})
    found = replicate(at_once, {"distilled": 0.0}, {}, lambda: 0.0)
    assert [len(of) for of in found.heard.values()] == [1, 1]  # the recordings as they are, whatever the budget


def test_what_raises_later_is_judged_no_more() -> None:
    scorer = FakeScorer({"distilled": 0.0, "int8-static": 0.0}, {})
    scorer.raises = "int8-static", 3
    found = replicate(scorer, {"distilled": 1.0, "int8-static": 1.0}, {}, lambda: math.inf)
    assert {name: len(of) for name, of in found.heard.items()} == {"baseline": 8, "distilled": 8}


def test_nothing_is_heard_for_what_is_exact_and_equal() -> None:
    scorer = FakeScorer({"shared-trunk": 0.0}, {})
    scorer.accuracy(scorer.models)
    scorer.known["shared-trunk", 0, 0] = scorer.known["baseline", 0, 0]
    replicate(scorer, {"shared-trunk": 0.05}, {}, lambda: math.inf)
    assert {p for _, p in scorer.asked} == {0}


def test_damage_is_what_it_says(tmp_path: Path, stock: Any) -> None:
    from bench.accuracy.damage import noisy

    damaged = noisy(stock, 0.1)
    for (name, mine), theirs in zip(stock.named_parameters(), damaged.parameters(), strict=True):
        change = (theirs - mine).detach()
        if mine.ndim > 1 and mine.numel() > 1000:
            assert float(change.std() / mine.std()) == pytest.approx(0.1, rel=0.1), name
        elif mine.ndim == 1:
            assert not change.any()
    assert all(torch_equal(a, b) for a, b in zip(noisy(stock, 0.1).parameters(), damaged.parameters(), strict=True))


def torch_equal(one: Any, other: Any) -> bool:
    return bool((one == other).all())
