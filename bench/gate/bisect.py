"""`python -m bench bisect`: the first revision at which a variant became slower, by paired runs against the good one.

Every candidate is measured beside GOOD, in a process of its own each, as the gate's `--against` does, or in as many
pairs of processes as `--processes` says. BAD comes first: its slowdown, which must be a regression by the gate's own
rule, gives the dividing line, half of it. A candidate is bad if the interval of its change lies above that line, good
if it lies below; else it is measured on, for `LONGER` as long again, and then skipped: it is never guessed. All
intervals of the chain share the gate's `ALPHA`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from bench.latency.interleave import BLOCK, LEAD
from bench.report.format import show_change
from bench.statistics import Ratio
from variants.errors import UserError

from . import verdict as rules
from .against import Worker, commit_of, git, worktree
from .messages import Open, Value
from .search import first_bad, steps
from .session import NOW, Comparison, Recording, measure
from .verdict import ALPHA, INCONCLUSIVE, PASS, REGRESSED

LONGER = 3.0  # of the budget, for what is inconclusive when that is over
GOOD = "good"
WORDS = {REGRESSED: "bad", PASS: "good"}


def beside(ratio: Ratio, line: float, settled: bool = True) -> str:
    """On which side of the dividing line, such as 0.02, a change lies: regressed above, pass below."""
    if ratio.low > 1 + line:
        return REGRESSED
    return PASS if ratio.high < 1 + line else INCONCLUSIVE


class Bisection:
    """One variant and kind of the revisions from `good` to `bad` in a checkout.

    options: the command line by name, for the processes. budget: seconds of a step. say: is told each line.
    """

    def __init__(
        self,
        checkout: Path,
        kind: str,
        name: str,
        options: Mapping[str, Value],
        budget: float,
        threshold: float,
        say: Callable[[str], None] = lambda line: print(line, flush=True),
    ) -> None:
        self.checkout, self.kind, self.name, self.options = checkout, kind, name, dict(options)
        self.budget, self.threshold, self.say = budget, threshold, say
        self.spent, self.shares = 0, 1  # measurements so far; in how many equal parts they share the error
        self._trees: dict[str, tuple[str, Path]] = {}  # of each side: what errors call it, and where it is
        self._workers: dict[str, Worker] = {}

    def run(self, good: str, bad: str) -> str:
        """The first bad commit; UserError where it cannot be told, or there is none."""
        first, last = (self._commit(option, name) for option, name in (("--good", good), ("--bad", bad)))
        try:
            git(self.checkout, "merge-base", "--is-ancestor", first, last)
        except UserError:
            raise UserError(f"--good {good}: is no ancestor of {bad}") from None
        commits = git(self.checkout, "rev-list", "--reverse", "--first-parent", f"{first}..{last}").split()
        if not commits:
            raise UserError(f"--good {good} and --bad {bad} are the same commit")
        self.shares = 2 * (1 + steps(len(commits)))
        with worktree(self.checkout, first) as tree:
            self._trees[GOOD] = f"--good {good}", tree
            found, ratio = self._test(last, rules.verdict, self.threshold)
            if found != REGRESSED or ratio is None:
                slower = f"{self.name} is not slower than in {good}: there is nothing to bisect"
                unclear = f"whether {self.name} is slower than in {good} cannot be told: see above"
                raise UserError(f"--bad {bad}: {unclear if found == INCONCLUSIVE else slower}")
            line = (ratio.estimate - 1) / 2
            self.say(f"dividing line: {100 * line:+.1f} %; {len(commits)} commits, about {steps(len(commits))} steps")
            left = first_bad(commits, lambda commit: self._test(commit, beside, line)[0])
        error = f"error of the whole chain: at most {100 * ALPHA * self.spent / self.shares:.1g} %"
        if len(left) > 1:
            for commit in left:
                self.say(f"remains: {self._title(commit)}")
            raise UserError(f"undecided: the first bad commit is one of {len(left)}, the others were skipped; {error}")
        self.say(f"first bad commit: {self._title(left[0])}\n{error}")
        return left[0]

    def _test(self, commit: str, decide: Callable[[Ratio, float, bool], str], line: float) -> tuple[str, Ratio | None]:
        """The verdict on a commit and its change over GOOD; what cannot be measured is inconclusive, and says why."""
        try:
            with worktree(self.checkout, commit) as tree:
                self._trees[NOW] = commit, tree
                found, ratio, why = self._measure(decide, line)
        except UserError as error:
            if str(error).startswith(f"{self._trees[GOOD][0]}: "):  # without which nothing can be told
                raise
            found, ratio, why = INCONCLUSIVE, None, _reason(error, commit)
        words = WORDS.get(found, f"skipped, {why}")
        self.say(f"{self._title(commit)}: {f'{show_change(ratio)} %, ' if ratio is not None else ''}{words}")
        return found, ratio

    def _measure(self, decide: Callable[[Ratio, float, bool], str], line: float) -> tuple[str, Ratio | None, str]:
        comparison, recording = Comparison(self.kind, self.name, GOOD, line), Recording({})
        try:
            self._start()
            for budget in (self.budget, LONGER * self.budget):
                self.spent += 1
                recording, (judged,) = measure(
                    [comparison],
                    [],
                    lambda key, number: self._workers[key.side].block(self.kind, key.name, number),
                    budget=budget,
                    judged=self.shares,
                    pairs=max(rules.PAIRS, int(self.options.get("processes") or 1)),
                    restart=self._start,
                    seed=self.spent,
                    decide=decide,
                    recording=recording,
                )
                if judged.verdict != INCONCLUSIVE or judged.why:
                    break
        finally:
            self._close()
        noisy = "" if recording.usable else f", {recording.contaminated:.0%} of the blocks contaminated"
        why = judged.why or f"inconclusive after {(1 + LONGER) * self.budget:g} s{noisy}"
        return judged.verdict, judged.ratio, why

    def _start(self) -> None:
        """A new process for either side; UserError if one of them cannot run the variant."""
        self._close()
        for side, (label, tree) in self._trees.items():
            worker = self._workers[side] = Worker(label, Open(str(tree), self.options, [self.name], BLOCK, LEAD))
            if self.name not in worker.names:
                why = worker.broken.get(self.name, "it does not know that variant")
                raise UserError(f"{label}: {self.name}: {why}")

    def _close(self) -> None:
        while self._workers:
            self._workers.popitem()[1].close()

    def _commit(self, option: str, revision: str) -> str:
        try:
            return commit_of(self.checkout, revision)
        except UserError as error:
            raise UserError(f"{option} {revision}: {_reason(error, revision)}") from None

    def _title(self, commit: str) -> str:
        return git(self.checkout, "show", "--no-patch", "--format=%h %s", commit)


def _reason(error: UserError, revision: str) -> str:
    """Why a revision cannot be measured, without its name and the remedies of `--against`."""
    words = str(error).partition(": make an environment")[0]
    return words.removeprefix(f"--against {revision}: ").removeprefix(f"{revision}: ")
