"""What of a run is scored, and how right each variant is there."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pyannote.core import Segment

from bench.accuracy import scoring
from bench.accuracy.der import Accuracy, Turn, turns
from bench.accuracy.scoring import Part
from variants import UserError

from .corpus import Corpus
from .models import Models
from .options import QUICK_SECONDS, ScoringOptions


class Scores:
    """Accuracy of all variants, once it is asked for. folder: of the cache. progress: told the share that is done."""

    def __init__(
        self,
        options: ScoringOptions,
        models: Models,
        corpus: Corpus,
        folder: Path,
        progress: Callable[[float], None],
    ) -> None:
        self.options, self.models, self.corpus = options, models, corpus
        self.folder, self.progress = folder, progress
        self.known: Mapping[str, Accuracy] = {}  # what was found so far

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
        return scoring.take(self.corpus.recordings, seconds, scored=True)

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
        """Accuracy of every variant; empty where it is not measured."""
        if self.wanted and not self.known:
            task = scoring.Task(
                parts=self.parts,
                cut=self.corpus.cut,
                settings=self.corpus.settings,
                segmentation=self.models.segmentation,
                collar=self.options.collar,
                skip_overlap=self.options.skip_overlap,
                others=self.models.others,
            )
            with self.corpus.cores.all():
                known = scoring.accuracy(self.models, task, self.folder, self.progress)
            if not known["baseline"].files:
                raise UserError("; ".join(self.corpus.problems))
            self.known = known
        return self.known
