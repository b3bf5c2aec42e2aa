"""One file's errors by block of time: what the bootstrap of a DER resamples."""

from itertools import pairwise
from typing import Any

from pyannote.core import Segment, Timeline
from pyannote.metrics.diarization import DiarizationErrorRate
from pyannote.metrics.identification import IdentificationErrorRate

from .der import Components

BLOCK = 10.0  # seconds, about


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
