"""What of a run is scored, and how right each variant is there."""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from pyannote.core import Segment

import variants
from bench.accuracy.der import Accuracy, Turn, turns
from bench.accuracy.evidence import Evidence
from bench.accuracy.hearing import Task
from bench.accuracy.parts import Part, take
from bench.accuracy.replicate import replicate
from bench.accuracy.scoring import Scorer
from bench.accuracy.verdict import Judgement
from bench.latency.results import TWIN
from variants import UserError

from .corpus import Corpus
from .models import Models
from .options import QUICK_SECONDS, ScoringOptions
from .pool import Pool
from .shared import ANY_CPU, pool


class Scores:
    """Accuracy of all variants, once it is asked for. folder: of the cache. progress: told the share that is done."""

    def __init__(
        self,
        options: ScoringOptions,
        models: Models,
        corpus: Corpus,
        folder: Path,
        progress: Callable[..., None],
    ) -> None:
        self.options, self.models, self.corpus = options, models, corpus
        self.folder, self.progress = folder, progress
        self.known: Mapping[str, Accuracy] = {}  # what was found so far
        self.found: Evidence | None = None
        self.pool: Pool | None = None  # of the last work

    @property
    def wanted(self) -> bool:
        """Whether accuracy is measured: not with `--accuracy off`, nor with a segmentation of random weights."""
        return self.options.extent != "off" and self.models.segmentation_trained

    @property
    def unjudged(self) -> str | None:
        """Why there will be no DER although it was asked for; None if there will, or it was not asked for."""
        if self.options.extent == "off":
            return None
        if not self.wanted:
            return "the segmentation has random weights: its DER means nothing"
        if all(recording.reference is None for recording in self.corpus.recordings):
            return "no recording has a reference; name their RTTM by --rttm"
        return None

    @property
    def parts(self) -> list[Part]:
        """What DER is computed on."""
        if not self.wanted:
            return []
        seconds = QUICK_SECONDS if self.options.extent == "quick" else None
        return take(self.corpus.recordings, seconds, scored=True)

    @property
    def references(self) -> dict[str, tuple[Turn, ...]]:
        """Who really spoke when, by file."""
        return {
            recording.name: turns(recording.reference.crop(Segment(0, seconds or recording.duration)))
            for recording, seconds in self.parts
            if recording.reference is not None
        }

    @property
    def accuracy(self) -> Mapping[str, Accuracy]:
        """Accuracy of every variant on the recordings as they are; empty where it is not measured."""
        if self.wanted and not self.known:
            with self.working():
                known = self.scorer.accuracy(self.models, progress=self.progress)
            if not known["baseline"].files:
                raise UserError("; ".join(self.corpus.problems))
            self.known = known
        return self.known

    @property
    def evidence(self) -> Evidence | None:
        """What the budget buys of verdicts on every trained variant; None where accuracy is not measured.

        The budget runs from the first score on; the recordings as they are are scored whatever it is.
        """
        if self.found is None and self.wanted:
            end = time.monotonic() + self.options.budget
            with self.working():
                _ = self.accuracy
                candidates = self.candidates
                self.found = replicate(
                    self.scorer, candidates, self.voices, lambda: end - time.monotonic(), self.progress
                )
        return self.found

    @contextmanager
    def working(self) -> Generator[None, None, None]:
        """One thread here, and beside it whoever `--jobs` names; afterwards nobody, so that nothing disturbs timing."""
        with self.corpus.cores.untimed():
            if self.options.jobs == "1" or self.scorer.workers is not None:
                yield
                return
            self.pool = self.scorer.workers = pool(self.options, self.models, self.scorer)
            try:
                yield
            finally:
                self.scorer.workers = None
                self.pool.close()

    @property
    def cpus(self) -> set[str]:
        """The instructions of the CPUs that scored for this one."""
        return set() if self.pool is None else self.pool.cpus

    @property
    def notes(self) -> list[str]:
        """What must be known of who scored."""
        refused = {} if self.pool is None else self.pool.refused
        lines = [f"{name} is refused: {why}" for name, why in sorted(refused.items())]
        return [ANY_CPU, *lines] if self.options.any_cpu else lines

    @property
    def candidates(self) -> dict[str, float]:
        """Tolerance in points of each variant that is judged: those whose weights mean something."""
        trained = self.models.trained
        names = [name for name in self.models if name not in ("baseline", TWIN) and trained[name]]
        return {name: variants.get(name).tolerance for name in names if trained["baseline"]}

    def judge(self, name: str, over: str = "baseline") -> Judgement | None:
        """The verdict on a variant by the evidence there is; None without any."""
        if self.found is None or name not in self.candidates or not self.models.trained[over]:
            return None
        if not {name, over} <= self.found.heard.keys():
            return None
        return self.found.judge(name, variants.get(name).tolerance, over)

    @property
    def judgements(self) -> dict[str, Judgement]:
        """Of every judged variant, over the baseline."""
        return {name: judged for name in self.candidates if (judged := self.judge(name)) is not None}

    @property
    def failed(self) -> dict[str, str]:
        """Variants that raised while they were scored, and why; what they scored before is in no verdict."""
        found = {} if not self.known else self.scorer.failed
        return {name: f"failed while it was scored: {why}" for name, why in found.items()}

    @property
    def voices(self) -> dict[str, list[str]]:
        """Who speaks in each scored recording, by its name."""
        return {r.name: r.reference.labels() for r, _ in self.parts if r.reference is not None}

    @cached_property
    def scorer(self) -> Scorer:
        """That of this run's models and parts; it keeps what it finds."""
        task = Task(
            parts=self.parts,
            cut=self.corpus.cut,
            settings=self.corpus.settings,
            segmentation=self.models.segmentation,
            collar=self.options.collar,
            skip_overlap=self.options.skip_overlap,
            others=self.models.others,
        )
        return Scorer(self.models, task, self.folder, mark="any CPU" if self.options.any_cpu else "")
