"""DER, label disagreement and embedding cosine of one file's output."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from pyannote.core import Annotation, Segment

from bench.pipeline.diarize import Cut, Output
from variants.arrays import Floats

from .errors import Components, components, components_by_block, rate
from .rows import WORST, Counts, Row, quantile

LOW = 0.05  # of the cosines that are told of beside the lowest
Turn = tuple[float, float, str]  # start and end in seconds, speaker


@dataclass(frozen=True)
class FileScore:
    """One file of one variant.

    der: None without a reference. disagreement: the output scored against the baseline's. cosine, parent_cosine:
    lowest over all embeddings, against the baseline's and the parent's. changed: start times (s) of the chunks whose
    labels differ from the parent's. turns: who spoke when, as the variant says. der_blocks, disagreement_blocks: the
    same errors by block of time, of `duration` seconds in all. labels: a digest of those of every chunk. seconds: that
    its models took. cosines: to the baseline's embeddings, counted over the rows in which somebody speaks. worst: of
    those rows, the farthest from the parent's.
    """

    name: str
    der: Components | None
    disagreement: Components
    cosine: float | None
    parent_cosine: float | None
    changed: tuple[float, ...]
    turns: tuple[Turn, ...] = ()
    der_blocks: tuple[Components, ...] = ()
    disagreement_blocks: tuple[Components, ...] = ()
    duration: float = 0.0
    labels: str = ""
    seconds: float = field(default=0.0, compare=False)
    cosines: Counts = ()
    worst: tuple[Row, ...] = ()


def turns(labels: Annotation) -> tuple[Turn, ...]:
    """Labels as plain values in order of time, rounded to a millisecond."""
    tracks = labels.itertracks(yield_label=True)
    return tuple(sorted((round(s.start, 3), round(s.end, 3), str(speaker)) for s, _, speaker in tracks))


def row_cosines(embeddings: Floats, reference: Floats) -> Floats | None:
    """Cosines of rows (..., dim); NaN where `reference` is not finite, -1 where a row is lost (NaN) only here.

    None between embeddings of different dimensions.
    """
    if embeddings.shape[-1] != reference.shape[-1]:
        return None
    finite, finite_reference = (np.isfinite(x).all(axis=-1) for x in (embeddings, reference))
    found = np.where(finite_reference, -1.0, np.nan)
    both = finite & finite_reference
    a, b = (x[both].astype(np.float64) for x in (embeddings, reference))
    found[both] = np.minimum((a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)), 1.0)
    return found


def lowest_cosine(embeddings: Floats, reference: Floats) -> float | None:
    """Lowest of `row_cosines`, 1 where there are none."""
    found = row_cosines(embeddings, reference)
    return None if found is None else lowest(found)


def lowest(cosines: Floats) -> float:
    """Of those that are numbers; 1 where none is."""
    return float(np.nanmin(cosines, initial=1.0))


def lower(*cosines: float | None) -> float | None:
    """The lowest; None if one is."""
    known = [cosine for cosine in cosines if cosine is not None]
    return min(known) if len(known) == len(cosines) else None


def changed_chunks(file: Cut, first: int, mine: Sequence[Annotation], theirs: Sequence[Annotation]) -> list[float]:
    """Start times (s) of the chunks, from number `first` on, whose labels differ."""
    return [file.chunks.start(first + i) for i, (a, b) in enumerate(zip(mine, theirs, strict=True)) if a != b]


def spoken(found: Sequence[Turn]) -> Annotation:
    """Turns as pyannote's labels."""
    labels = Annotation()
    for i, (start, end, speaker) in enumerate(found):
        labels[Segment(start, end), i] = speaker
    return labels


def disagreement(theirs: Sequence[Turn], mine: Sequence[Turn], duration: float) -> list[Components]:
    """Errors of turns against others as the reference, by block of a file of so many seconds."""
    return components_by_block(spoken(theirs), spoken(mine), None, duration)


def score(
    file: Cut,
    labels: Annotation,
    baseline: Sequence[Turn] | None,
    cosines: tuple[float | None, float | None],
    changed: Sequence[float],
    collar: float = 0.0,
    skip_overlap: bool = False,
) -> FileScore:
    """Score one file's labels against its reference and the baseline's turns (None: its own).

    cosines: lowest to the baseline's embeddings and to the parent's. changed: as in `FileScore`.
    """
    reference, mine, der = file.recording.reference, turns(labels), None
    blocks: list[Components] = []
    if reference is not None:
        der = components(reference, labels, file.scored, collar, skip_overlap)
        blocks = components_by_block(reference, labels, file.scored, file.duration, collar, skip_overlap)
    theirs = mine if baseline is None else baseline
    return FileScore(
        file.recording.name,
        der,
        components(spoken(theirs), spoken(mine), None, 0.0, False),
        *cosines,
        tuple(changed),
        mine,
        tuple(blocks),
        tuple(disagreement(theirs, mine, file.duration)),
        file.duration,
    )


def score_output(
    file: Cut, output: Output, baseline: Output, collar: float = 0.0, skip_overlap: bool = False
) -> FileScore:
    """Score what the pipeline made of one file where the baseline is the parent."""
    cosine = lowest_cosine(output.embeddings, baseline.embeddings)
    changed = changed_chunks(file, 0, output.by_chunk, baseline.by_chunk)
    return score(file, output.labels, turns(baseline.labels), (cosine, cosine), changed, collar, skip_overlap)


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
    def cosine(self) -> float | None:
        """Lowest cosine to the baseline's embeddings; None where their dimension is another."""
        return lower(*(f.cosine for f in self.files))

    @property
    def low_cosine(self) -> float | None:
        """A share of `LOW` of the cosines to the baseline's, where somebody speaks, is as low; None of none."""
        return quantile(tuple(count for f in self.files for count in f.cosines), LOW)

    @property
    def worst(self) -> list[tuple[str, Row]]:
        """The rows farthest from the parent's, by file name."""
        found = [(f.name, row) for f in self.files for row in f.worst]
        return sorted(found, key=lambda one: one[1].cosine)[:WORST]

    @property
    def changed(self) -> list[str]:
        """Each chunk whose labels differ from the parent's, as "file at seconds"."""
        return [f"{f.name} at {start:.2f} s" for f in self.files for start in f.changed]

    def share(self, kind: str) -> float | None:
        """One kind of error ("missed", "false_alarm" or "confusion") over all files, in points."""
        scored = [f.der for f in self.files if f.der is not None]
        total = sum(c.total for c in scored)
        return 100 * sum(getattr(c, kind) for c in scored) / total if total else None

    def increase_over(self, other: "Accuracy") -> float | None:
        """DER increase over another variant on the same files, in points; None without scored speech."""
        if [f.name for f in self.files] != [f.name for f in other.files]:
            raise ValueError("accuracies of other files")
        mine, theirs = self.der, other.der
        return None if mine is None or theirs is None else mine - theirs
