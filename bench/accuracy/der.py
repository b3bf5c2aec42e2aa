"""DER, label disagreement and embedding cosine of one file's output."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyannote.core import Annotation, Timeline
from pyannote.metrics.diarization import DiarizationErrorRate

from bench.pipeline.diarize import Cut, Output
from bench.statistics import Difference, rate_difference
from variants.arrays import Floats

Turn = tuple[float, float, str]  # start and end in seconds, speaker


@dataclass(frozen=True)
class Components:
    """Seconds of scored speech, and of each kind of error."""

    total: float
    missed: float
    false_alarm: float
    confusion: float

    @property
    def error(self) -> float:
        """Seconds of error of every kind."""
        return self.missed + self.false_alarm + self.confusion


@dataclass(frozen=True)
class FileScore:
    """One file of one variant.

    der: None without a reference. disagreement: the output scored against the baseline's. cosine, parent_cosine:
    lowest over all embeddings, against the baseline's and the parent's. changed: start times (s) of the chunks whose
    labels differ from the parent's. turns: who spoke when, as the variant says.
    """

    name: str
    der: Components | None
    disagreement: Components
    cosine: float
    parent_cosine: float
    changed: tuple[float, ...]
    turns: tuple[Turn, ...] = ()


def turns(labels: Annotation) -> tuple[Turn, ...]:
    """Labels as plain values in order of time, rounded to a millisecond."""
    tracks = labels.itertracks(yield_label=True)
    return tuple(sorted((round(s.start, 3), round(s.end, 3), str(speaker)) for s, _, speaker in tracks))


def components(
    reference: Annotation, hypothesis: Annotation, uem: Timeline | None, collar: float, skip_overlap: bool
) -> Components:
    """Error components by pyannote.metrics; `collar` is its full width in seconds, centred on each boundary."""
    metric = DiarizationErrorRate(collar=collar, skip_overlap=skip_overlap)
    detail = metric(reference, hypothesis, uem=uem, detailed=True)
    return Components(*(float(detail[key]) for key in ("total", "missed detection", "false alarm", "confusion")))


def lowest_cosine(embeddings: Floats, reference: Floats) -> float:
    """Lowest cosine over rows (..., dim) that are finite in `reference`; -1 if one is lost (NaN) only here."""
    finite, finite_reference = (np.isfinite(x).all(axis=-1) for x in (embeddings, reference))
    if (finite_reference & ~finite).any():
        return -1.0
    a, b = (x[finite_reference].astype(np.float64) for x in (embeddings, reference))
    if not len(a):
        return 1.0
    cosines = (a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))
    return float(min(1.0, cosines.min()))


def changed_chunks(file: Cut, first: int, mine: Sequence[Annotation], theirs: Sequence[Annotation]) -> list[float]:
    """Start times (s) of the chunks, from number `first` on, whose labels differ."""
    return [file.chunks.start(first + i) for i, (a, b) in enumerate(zip(mine, theirs, strict=True)) if a != b]


def score(
    file: Cut,
    labels: Annotation,
    baseline: Annotation,
    cosines: tuple[float, float],
    changed: Sequence[float],
    collar: float = 0.0,
    skip_overlap: bool = False,
) -> FileScore:
    """Score one file's labels against its reference and the baseline's labels.

    cosines: lowest to the baseline's embeddings and to the parent's. changed: as in `FileScore`.
    """
    reference = file.recording.reference
    return FileScore(
        file.recording.name,
        None if reference is None else components(reference, labels, file.scored, collar, skip_overlap),
        components(baseline, labels, None, 0.0, False),
        *cosines,
        tuple(changed),
        turns(labels),
    )


def score_output(
    file: Cut, output: Output, baseline: Output, collar: float = 0.0, skip_overlap: bool = False
) -> FileScore:
    """Score what the pipeline made of one file where the baseline is the parent."""
    cosine = lowest_cosine(output.embeddings, baseline.embeddings)
    changed = changed_chunks(file, 0, output.by_chunk, baseline.by_chunk)
    return score(file, output.labels, baseline.labels, (cosine, cosine), changed, collar, skip_overlap)


@dataclass(frozen=True)
class Accuracy:
    """All files of one variant."""

    files: tuple[FileScore, ...]

    @property
    def der(self) -> float | None:
        """DER over all files with a reference, in points; None if they hold no scored speech."""
        scored = [f.der for f in self.files if f.der is not None]
        return rate(scored) if any(c.total for c in scored) else None

    @property
    def disagreement(self) -> float:
        """Label disagreement with the baseline over all files, in points."""
        return rate([f.disagreement for f in self.files])

    @property
    def cosine(self) -> float:
        """Lowest cosine to the baseline's embeddings."""
        return min(f.cosine for f in self.files)

    @property
    def changed(self) -> list[str]:
        """Each chunk whose labels differ from the parent's, as "file at seconds"."""
        return [f"{f.name} at {start:.2f} s" for f in self.files for start in f.changed]

    def share(self, kind: str) -> float | None:
        """One kind of error ("missed", "false_alarm" or "confusion") over all files, in points."""
        scored = [f.der for f in self.files if f.der is not None]
        total = sum(c.total for c in scored)
        return 100 * sum(getattr(c, kind) for c in scored) / total if total else None

    def increase_over(self, other: "Accuracy") -> Difference | None:
        """DER increase over another variant on the same files, in points; None without scored speech."""
        pairs = [
            (mine.der, theirs.der)
            for mine, theirs in zip(self.files, other.files, strict=True)
            if mine.der is not None and theirs.der is not None
        ]
        if not any(mine.total for mine, _ in pairs):
            return None
        return rate_difference(
            [mine.error for mine, _ in pairs],
            [theirs.error for _, theirs in pairs],
            [mine.total for mine, _ in pairs],
        )


def rate(parts: list[Components]) -> float:
    """100 x error / total over parts; 0 where nothing was said and nothing claimed, 100 where only claimed."""
    error, total = sum(p.error for p in parts), sum(p.total for p in parts)
    if total == 0:
        return 0.0 if error == 0 else 100.0
    return 100 * error / total
