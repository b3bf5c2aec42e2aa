"""One gated run: what it compares, how it measures, and what it concludes."""

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bench
import variants
from bench.accuracy.evidence import Evidence
from bench.accuracy.verdict import Judgement as Accurate
from bench.history.counts import THREADS, counts_of
from bench.history.runs import StoredRun
from bench.latency.interleave import BLOCK, LEAD, Interrupted, Measurement, Rounds
from bench.latency.kinds import STEADY, KindName
from bench.latency.results import TWIN
from bench.report.format import show_points
from bench.run.run import Run
from bench.run.side import Side
from bench.statistics import Ratio
from bench.statistics.growth import FEWEST
from variants.errors import UserError

from . import verdict as rules
from .against import Worker, checkout_of, worktree
from .contamination import TOO_MANY
from .counts import grown, memory_spread
from .creep import judge_trend
from .environment import changed, interpreter
from .messages import Block, Open
from .session import NOW, PINNED, STORED, TREND, Comparison, Judgement, Key, Recording, Stopped, measure
from .stored import Stored
from .verdict import ALPHA, INCONCLUSIVE, REGRESSED, spread
from .worker import BlockError, Timed


@dataclass(frozen=True)
class Failure:
    """A benchmark that fails whatever its latency: which, and why."""

    kind: str
    variant: str
    why: str


class Gate:
    """A `bench.run.timing.Measurer` that measures each kind until it can be judged, and collects the verdicts.

    benchmarks: the (kind, variant) that the user asked for. limits: threshold of each variant. stored: the last run to
    compare ratios with, if there is one. budget: seconds for each kind. pinned: the reference run, if there is one.
    past: runs of its conditions and this run's, oldest first, for a trend.
    """

    def __init__(
        self,
        run: Run,
        benchmarks: Collection[tuple[str, str]],
        limits: Mapping[str, float],
        stored: Stored | None,
        budget: float,
        narrowed: bool = False,
        pinned: Stored | None = None,
        past: Sequence[StoredRun] = (),
    ) -> None:
        self.run, self.benchmarks, self.limits, self.stored = run, list(benchmarks), limits, stored
        self.budget, self.narrowed = budget, narrowed
        self.revision: str | None = None
        self.recordings: dict[str, Recording] = {}
        self.judgements: list[Judgement] = []
        self.failures: list[Failure] = []
        self.unresolved: list[Failure] = []
        self.notes: list[str] = []
        self.stopped: KindName | None = None  # what Ctrl-C ended
        self.resources = contextlib.ExitStack()
        self._sides: dict[str, Worker] = {}
        self._orders: dict[str, tuple[str, Open, Path | str]] = {}  # by which each side's process is started
        self._timed: Timed | None = None
        self.pinned = None if stored is not None and pinned is not None and pinned.name == stored.name else pinned
        references = {STORED: self.stored, PINNED: self.pinned}
        self.past = past
        self.comparisons = [
            comparison
            for against, reference in references.items()
            if reference is not None
            for comparison in self._with_stored(reference, against)
        ]
        self.trends = self._trends()

    def _with_stored(self, stored: Stored, against: str) -> list[Comparison]:
        """Comparisons with a stored run; what cannot be compared becomes a failure or a note."""
        gone = stored.vanished(self.benchmarks, STEADY, self.narrowed)
        known = {(failure.kind, failure.variant) for failure in self.failures}
        self.failures += [Failure(*key, why) for key, why in gone.items() if key not in known]
        differing = stored.differing(self.run.conditions())
        found = []
        for kind, name in self.benchmarks:
            if (kind, name) not in stored.benchmarks:
                self.notes.append(f"{kind} {name}: new, {stored.name} does not have it")
            elif name in self.run.models.skipped:
                self.failures.append(Failure(kind, name, f"stored, but skipped now: {self.run.models.skipped[name]}"))
            elif differing:
                self.failures.append(Failure(kind, name, f"measured under other conditions: {'; '.join(differing)}"))
            elif name in self.run.models and name not in ("baseline", TWIN):
                ratio, control = stored.ratios.get((kind, name)), stored.ratios.get((kind, TWIN))
                if ratio is None:
                    self.notes.append(f"{kind} {name}: {stored.name} has no ratio of it")
                else:
                    usual = spread(run.ratios.get((kind, TWIN)) for run in self.past)
                    found.append(Comparison(kind, name, against, self.limits[name], ratio, control, usual))
        return found

    def _trends(self) -> dict[Comparison, list[Ratio]]:
        """What may have grown, with its stored ratios, oldest first; too few are left out."""
        found = {}
        for kind, name in self.benchmarks:
            before = [run.ratios[kind, name] for run in self.past if (kind, name) in run.ratios]
            if name in self.run.models and name not in ("baseline", TWIN) and len(before) + 1 >= FEWEST:
                found[Comparison(kind, name, TREND, self.limits[name])] = before
        return found

    @property
    def _judged(self) -> int:
        """How many comparisons and trends share the error of the run."""
        return max(1, len(self.comparisons) + len(self.trends))

    def compare_with(self, revision: str | None, options: Mapping[str, Any], environment: Path | None = None) -> None:
        """Measure `revision` (None: this code), by `environment` (None: this one), in processes of their own.

        options: values of the command line, for both sides' processes. `close` ends them.
        Raises UserError if it cannot be done.
        """
        here = tree = checkout_of(Path(bench.__file__).parent)
        other = " in ".join(str(part) for part in (revision, environment) if part is not None)
        python = sys.executable if environment is None else interpreter(environment)
        if environment is not None:
            self.notes.append(f"{environment}: {changed(environment)}")
        if revision is not None:
            tree = self.resources.enter_context(worktree(here, revision, environment is not None))
        names = list(dict.fromkeys(["baseline", TWIN, *(name for _, name in self.benchmarks)]))
        for side, root, run_by in ((NOW, here, sys.executable), (other, tree, python)):
            label = f"--against {other}" if side else "the code as it is now"
            self._orders[side] = label, Open(str(root), dict(options), names, BLOCK, LEAD), run_by
        self.resources.callback(self._end)
        self._start()
        mine, theirs = self._sides[NOW], self._sides[other]
        foreign = [name for name in names if name in self.run.models and name not in {*mine.names, *mine.broken}]
        if foreign:
            raise UserError(f"--against: {', '.join(foreign)}: only what {here} registers exists in both revisions")
        self.revision = other
        for kind in dict.fromkeys(kind for kind, _ in self.benchmarks):
            asked = [name for k, name in self.benchmarks if k == kind and name != TWIN]
            for name in dict.fromkeys(["baseline", *asked]):
                if name in theirs.broken:
                    self.notes.append(f"{kind} {name}: {other} cannot run it ({theirs.broken[name]})")
                elif name not in theirs.registered:
                    self.notes.append(f"{kind} {name}: new since {other}")
                elif name in mine.names:
                    self.comparisons.append(Comparison(kind, name, other, self.limits[name]))
            if not self.narrowed:
                lost = [name for name in theirs.registered if name not in variants.names()]
                self.failures += [Failure(kind, name, f"{other} has it: renamed or removed since") for name in lost]
        self._count(other, [name for name in names if name in mine.names and name in theirs.names])

    def _count(self, other: str, names: Sequence[str]) -> None:
        """Fail variants of which a count is higher now than in the other code; a note where that counts nothing."""
        try:
            now, then = ({name: self._sides[side].counts(name) for name in names} for side in (NOW, other))
        except BlockError as error:
            self.notes.append(f"{other}: only its time was held against, not counts ({error})")
            return
        spread = memory_spread(now, then)
        for name in (name for name in names if name != TWIN):
            for why in grown(now[name], then[name], self.limits[name], spread):
                self.failures.append(Failure("count", name, f"{why}, in {other}"))

    def _start(self) -> None:
        """A process for either side, in place of any that there was."""
        self._end()
        for side, order in self._orders.items():
            self._sides[side] = Worker(*order)

    def _end(self) -> None:
        while self._sides:
            self._sides.popitem()[1].close()

    def close(self) -> None:
        """End the processes and remove the worktree."""
        self.resources.close()

    def measure(self, kind: KindName, progress: Callable[[float], None]) -> Measurement:
        """Measure one kind until its comparisons are decided; the rounds of this revision's variants."""
        names = {"baseline", TWIN, *(name for k, name in self.benchmarks if k == kind)} & set(self.run.models)
        try:
            self.recordings[kind], judgements = measure(
                [comparison for comparison in self.comparisons if comparison.kind == kind],
                [Key(NOW, name) for name in names],
                lambda key, number: self._block(kind, key, number),
                budget=self.budget,
                judged=self._judged,
                pairs=max(rules.PAIRS, self.run.options.timing.processes) if self._orders else 1,
                restart=self._start,
                seed=self.run.options.timing.seed,
                progress=progress,
            )
        except Stopped as stopped:  # what it had found is kept
            self.recordings[kind] = stopped.recording
            self.judgements += stopped.judgements
            self.stopped = kind
            self.notes.append(f"{kind}: stopped by Ctrl-C")
            raise Interrupted(rounds_now(stopped.recording)) from None
        self.judgements += judgements
        self.judgements += [
            judge_trend(self.recordings[kind], comparison, before, ALPHA / self._judged)
            for comparison, before in self.trends.items()
            if comparison.kind == kind
        ]
        return rounds_now(self.recordings[kind])

    def _block(self, kind: str, key: Key, number: int) -> Block:
        if self._orders:
            return self._sides[key.side].block(kind, key.name, number)
        if self._timed is None:
            self._timed = Timed(Side.of(self.run), BLOCK, LEAD)
        return self._timed.block(kind, key.name, number)

    def judge_accuracy(
        self, evidence: Evidence | None, trained: Mapping[str, bool], failed: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Fail variants whose DER is above tolerance: over the baseline's, or over their own stored one.

        What was asked for and is not resolved, or not scored, is no pass. failed: what raised, and why.
        """
        if evidence is None:
            self.notes.append("latency only: accuracy was not judged (--accuracy off)")
            return
        if evidence.heard["baseline"][0].der is None:
            self.failures.append(Failure("accuracy", "baseline", "asked for, but no speech is left to score"))
            return
        names = dict.fromkeys(["baseline", *(name for _, name in self.benchmarks if name != TWIN)])
        self.failures += [Failure("accuracy", name, why) for name, why in failed if name in names]
        conditions = self.run.conditions()
        references = {"stored": self.stored, "pinned": self.pinned}
        comparable = {which: run for which, run in references.items() if run and run.same_scoring(conditions)}
        for name in (name for name in names if name in evidence.heard):
            if not (trained[name] and trained["baseline"]):
                self.notes.append(f"{name}: untrained, so that its DER was not judged")
                continue
            tolerance = variants.get(name).tolerance
            if name != "baseline":
                self._accurate(name, evidence.judge(name, tolerance), f"over the baseline's, tolerance {tolerance:g}")
            for which, run in comparable.items():
                if (then := run.der.get(name)) is not None:
                    words = f"over its own in the {which} run, tolerance {tolerance:g}"
                    self._accurate(name, evidence.since(name, then, tolerance), words)

    def judge_counts(self, now: Mapping[str, Mapping[str, Any]]) -> None:
        """Fail variants of which a count rose. now: what each variant of this run stores of itself (`Run.counted`)."""
        found = {name: counts_of(info) for name, info in now.items()}
        conditions = self.run.conditions()
        for which, run in (("last stored", self.stored), ("pinned", self.pinned)):
            if run is None or run.differing(conditions):
                continue
            spread = memory_spread(found, run.counts)
            same_cores = run.saved["diartbench"]["machine"].get("cores") == conditions["machine"].get("cores")
            for name in dict.fromkeys(["baseline", *(name for _, name in self.benchmarks if name != TWIN)]):
                then = {count: n for count, n in run.counts.get(name, {}).items() if same_cores or count != THREADS}
                for why in grown(found.get(name, {}), then, self.limits[name], spread):
                    self.failures.append(Failure("count", name, f"{why}, in the {which} run"))

    def _accurate(self, name: str, judged: Accurate | None, words: str) -> None:
        if judged is not None and judged.verdict != "within tolerance":
            worse = judged.verdict == "worse"
            heard = "" if worse else f", not resolved under {judged.heard} perturbations (--accuracy-budget)"
            side = self.failures if worse else self.unresolved
            side.append(Failure("accuracy", name, f"DER {show_points(judged)} {words}{heard}"))

    @property
    def verdict(self) -> str:
        """Regressed if anything is, else inconclusive if anything is or was never judged, else pass."""
        verdicts = [judgement.verdict for judgement in self.judgements] + [REGRESSED for _ in self.failures]
        done = {judgement.comparison for judgement in self.judgements}
        unjudged = [comparison for comparison in self.comparisons if comparison not in done]
        open_ = [*unjudged, *self.unresolved, *([self.stopped] if self.stopped else [])]
        verdicts += [INCONCLUSIVE for _ in open_]
        return next((found for found in (REGRESSED, INCONCLUSIVE) if found in verdicts), "pass")

    def contamination(self) -> list[str]:
        """How many blocks were dropped of each kind, and why."""
        lines = []
        for kind, recording in self.recordings.items():
            counted = Counter(cause for causes in recording.causes.values() for cause in causes)
            why = f" ({', '.join(f'{cause} {count}' for cause, count in counted.most_common())})" if counted else ""
            fate = "dropped" if recording.usable else f"more than {TOO_MANY:.0%}, so nothing can be told"
            share = f"{len(recording.causes)} of {recording.count} blocks contaminated"
            lines.append(f"{kind}: {share}, {recording.contaminated:.0%}{why}: {fate}.")
        return lines

    def facts(self) -> dict[str, Any]:
        """The verdicts as JSON."""
        return {
            "verdict": self.verdict,
            "against": self.revision,
            "stored": self.stored.name if self.stored else None,
            "pinned": self.pinned.name if self.pinned else None,
            "judgements": [
                {
                    "kind": j.comparison.kind,
                    "variant": j.comparison.variant,
                    "against": j.comparison.against,
                    "threshold": j.comparison.threshold,
                    "verdict": j.verdict,
                    "why": j.why,
                    "ratio": None
                    if j.ratio is None
                    else {"estimate": j.ratio.estimate, "low": j.ratio.low, "high": min(j.ratio.high, 1e9)},
                }
                for j in self.judgements
            ],
            "failures": [vars(failure) for failure in self.failures],
            "unresolved": [vars(failure) for failure in self.unresolved],
            "contaminated": {kind: recording.contaminated for kind, recording in self.recordings.items()},
        }


def rounds_now(recording: Recording) -> Measurement:
    """The rounds of this revision's subjects, in clean blocks, as the rest of the harness knows them."""
    rounds = {}
    for key, blocks in recording.blocks.items():
        if key.side == NOW and key not in recording.failures:
            numbers: Sequence[int] = recording.kept(key)
            rounds[key.name] = Rounds(
                [second for n in numbers for second in blocks[n].seconds],
                [stage for n in numbers for stage in blocks[n].stages],
                [n for n in numbers for _ in blocks[n].seconds],
            )
    failures = {key.name: why for key, why in recording.failures.items() if key.side == NOW}
    return Measurement(rounds, failures, processes=recording.pairs)
