"""One file's errors: in all, and by block of time, which is what the interval of a DER resamples."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pyannote.core import Annotation, Segment, Timeline
from pyannote.metrics.diarization import DiarizationErrorRate
from pyannote.metrics.identification import IdentificationErrorRate

BLOCK = 10.0  # seconds, about


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


def rate(parts: list[Components]) -> float:
    """100 x error / total over parts; 0 where nothing was said and nothing claimed, 100 where only claimed."""
    error, total = sum(p.error for p in parts), sum(p.total for p in parts)
    if total == 0:
        return 0.0 if error == 0 else 100.0
    return 100 * error / total


def components(
    reference: Annotation, hypothesis: Annotation, uem: Timeline | None, collar: float, skip_overlap: bool
) -> Components:
    """Error components by pyannote.metrics; `collar` is its full width in seconds, centred on each boundary."""
    metric = DiarizationErrorRate(collar=collar, skip_overlap=skip_overlap)
    detail = metric(reference, hypothesis, uem=uem, detailed=True)
    return Components(*(float(detail[key]) for key in ("total", "missed detection", "false alarm", "confusion")))


def edges(duration: float) -> list[float]:
    """The bounds of a file's blocks in seconds: all equally long, as near to `BLOCK` as that allows."""
    count = max(1, round(duration / BLOCK))
    return [duration * i / count for i in range(count + 1)]


def components_by_block(
    reference: Any, hypothesis: Any, uem: Any, duration: float, collar: float = 0.0, skip_overlap: bool = False
) -> list[Components]:
    """Error components of each block of a file of `duration` seconds; they sum to `der.components` of the file.

    Speakers are mapped once, over the whole file, so that a block counts as an error what the file's DER does. What
    lies outside the duration belongs to the first or the last block. Without a `uem` all is scored that either says.
    """
    if uem is None:
        extent = reference.get_timeline().extent() | hypothesis.get_timeline().extent()
        uem = Timeline([extent] if extent else [])
    metric = DiarizationErrorRate(collar=collar, skip_overlap=skip_overlap)
    reference, hypothesis, uem = metric.uemify(
        reference, hypothesis, uem=uem, collar=collar, skip_overlap=skip_overlap, returns_uem=True
    )
    # as pyannote.metrics does it: a hypothesised speaker without a partner keeps a name that no reference has
    reference, hypothesis = reference.rename_labels(generator="string"), hypothesis.rename_labels(generator="int")
    mapped = hypothesis.rename_labels(mapping=metric.optimal_mapping(reference, hypothesis))
    inner = edges(duration)[1:-1]
    scored = uem.extent()
    bounds = [min([scored.start, *inner]), *inner, max([scored.end, *inner])]
    found = []
    for start, end in pairwise(bounds):
        block = uem.crop(Timeline([Segment(start, end)]), mode="intersection")
        detail = IdentificationErrorRate().compute_components(reference, mapped, uem=block)
        kinds = ("total", "missed detection", "false alarm", "confusion")
        found.append(Components(*(float(detail[kind]) for kind in kinds)))
    return found
