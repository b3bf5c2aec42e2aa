"""Who spoke when in one file: the reference, the baseline, and the variants that differ from it."""

from collections.abc import Mapping, Sequence
from typing import Any

from pyannote.core import Annotation, Segment
from pyannote.metrics.diarization import DiarizationErrorRate

from bench.accuracy.der import Accuracy, Turn


def timeline(accuracy: Mapping[str, Accuracy], references: Mapping[str, Sequence[Turn]]) -> dict[str, Any] | None:
    """The file on which most variants differ from the baseline; None if nothing says who spoke when.

    Speakers are named by those of the reference (of the baseline, where there is none) that they match best, as DER
    counts them. Variants that say the same share a track.
    """
    if "baseline" not in accuracy:
        return None
    candidates = [
        _tracks({name: files.files[i].turns for name, files in accuracy.items()}, references.get(file.name))
        for i, file in enumerate(accuracy["baseline"].files)
    ]
    best = max(candidates, key=len, default=[])  # the first of equals
    if not any(turns for _, turns in best):
        return None
    speakers = list(dict.fromkeys(speaker for _, turns in best for *_, speaker in turns))
    return {
        "file": accuracy["baseline"].files[candidates.index(best)].name,
        "speakers": speakers,
        "tracks": [
            {"names": names, "turns": [[start, end, speakers.index(speaker)] for start, end, speaker in turns]}
            for names, turns in best
        ],
    }


def _tracks(
    said: Mapping[str, Sequence[Turn]], reference: Sequence[Turn] | None
) -> list[tuple[list[str], tuple[Turn, ...]]]:
    """(names, turns) of the reference, then of each group of variants that say the same, the baseline's first."""
    target = reference if reference is not None else said["baseline"]
    groups: dict[tuple[Turn, ...], list[str]] = {}
    for name in sorted(said, key=lambda name: name != "baseline"):
        groups.setdefault(_renamed(said[name], target), []).append(name)
    tracks = [(names, turns) for turns, names in groups.items()]
    return tracks if reference is None else [(["reference"], tuple(reference)), *tracks]


def _renamed(turns: Sequence[Turn], target: Sequence[Turn]) -> tuple[Turn, ...]:
    mapping = DiarizationErrorRate().optimal_mapping(_annotation(target), _annotation(turns))
    return tuple((start, end, mapping.get(speaker, f"unmatched {speaker}")) for start, end, speaker in turns)


def _annotation(turns: Sequence[Turn]) -> Annotation:
    annotation = Annotation()
    for i, (start, end, speaker) in enumerate(turns):
        annotation[Segment(start, end), i] = speaker
    return annotation
