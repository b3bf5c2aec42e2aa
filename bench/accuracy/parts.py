"""Which seconds of a corpus are scored."""

from collections.abc import Sequence

from pyannote.core import Segment, Timeline

from bench.corpus import Recording

Part = tuple[Recording, float | None]  # the seconds to use of it, None for all


def take(recordings: Sequence[Recording], seconds: float | None, scored: bool = False) -> list[Part]:
    """The first `seconds` of a corpus: recordings in order, the last one cut to fit (if 10 s or more are left).

    `scored` counts what DER does: recordings whose first `seconds` hold the most voices come first, since where few
    speak an embedding can do little wrong; and only seconds within the UEM count, from the first turn on where no
    other lies among them.
    """
    if seconds is None:
        return [(recording, None) for recording in recordings]
    chosen: list[Part] = []
    left = seconds
    for recording in sorted(recordings, key=lambda r: -_voices(r, seconds)) if scored else recordings:
        uem = recording.uem if scored else None
        length = recording.duration if uem is None else uem.duration()
        if recording.duration <= left:
            chosen.append((recording, None))
        elif min(left, length) >= 10 or length <= left or not chosen:
            chosen.append((recording, _end(recording, left) if scored else left))
        left = max(0.0, left - length)
    return chosen


def _voices(recording: Recording, seconds: float) -> int:
    """Who speaks within the first seconds; fewer than none without a reference."""
    if recording.reference is None:
        return -1
    return len(recording.reference.crop(Segment(0.0, seconds)).labels())


def _end(recording: Recording, seconds: float) -> float:
    """Where the first `seconds` that count of a recording end, those from its first turn on if none is before."""
    whole = Timeline([Segment(0, recording.duration)])
    regions = recording.uem or whole
    turns = (whole if recording.reference is None else recording.reference.get_timeline()).crop(regions)

    def end(begin: float) -> float:
        left = seconds
        for region in regions.crop(Segment(begin, recording.duration)):
            if region.duration >= left:
                return float(region.start + left)
            left -= region.duration
        return float(regions.extent().end)

    first = turns.extent().start
    return found if (found := end(0.0)) > first else end(first)
