"""Who spoke when."""

import itertools
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from .style import PALE, SPEAKERS, Json, Plot, legend, new_figure, plot, printable, short


def who_spoke_when(doc: Json, window: float = 120.0) -> Plot | None:
    """The turns of one file by reference, baseline and every variant that differs; a lane per speaker."""
    found = doc["timeline"]
    if found is None:
        return None
    tracks = [(_track_name(track["names"]), track["turns"]) for track in found["tracks"]]
    end = max(stop for _, turns in tracks for _, stop, _ in turns)
    said = [track for track in tracks if track[0] != "reference"]
    begin = 0.0 if end <= window else max(0.0, min(_first_difference(said) - 10, end - window))
    until = min(end, begin + window)
    speakers = found["speakers"]

    def draw(narrow: bool) -> Figure:
        heights = [max(1, len({speaker for *_, speaker in turns})) for _, turns in tracks]
        lane = 0.14
        total = sum(lane * h + (0.36 if narrow else 0.16) for h in heights)
        figure = new_figure(narrow, total + 0.75 + 0.2 * (-(-len(speakers) // (2 if narrow else 5))))
        axes = figure.add_subplot()
        top, ticks = 0.0, []
        for (name, turns), height in zip(tracks, heights, strict=True):
            top += 0.24 if narrow else 0.0
            lanes = {speaker: i for i, speaker in enumerate(sorted({speaker for *_, speaker in turns}))}
            for start, stop, speaker in turns:
                y = top + lane * lanes[speaker]
                axes.broken_barh(
                    [(start, stop - start)], (y, lane * 0.85), color=SPEAKERS[speaker % len(SPEAKERS)], lw=0
                )
            ticks.append((top + lane * height / 2, name))
            if narrow:
                axes.text(begin, top - 0.03, name, va="bottom", ha="left")
            top += lane * height + (0.12 if narrow else 0.16)
            axes.axhline(top - 0.08, color=PALE, lw=0.6) if not narrow else None
        axes.set_ylim(top, 0)
        axes.set_xlim(begin, until)
        if narrow:
            axes.set_yticks([])
        else:
            axes.set_yticks([y for y, _ in ticks], [name for _, name in ticks])
            axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("seconds")
        legend(
            figure, [(short(s, 20), SPEAKERS[i % len(SPEAKERS)]) for i, s in enumerate(speakers)], 2 if narrow else 5
        )
        return figure

    part = "" if end <= window else f" Shown are {begin:.0f} to {until:.0f} s of {end:.0f}."
    return plot(
        "timeline",
        f"Who spoke when in {printable(found['file'])}: a lane per speaker, coloured by the speaker of the first track "
        f"that it matches best. Variants not named here say the same as one that is.{part}",
        f"Bars of speaker turns over time in {len(tracks)} tracks: {', '.join(name for name, _ in tracks)}.",
        draw,
    )


def _track_name(names: Sequence[str]) -> str:
    return short(names[0], 30) + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _first_difference(tracks: Sequence[tuple[str, Any]]) -> float:
    """Seconds at which two tracks first part."""
    pairs = [pair for (_, one), (_, other) in itertools.pairwise(tracks) for pair in zip(one, other, strict=False)]
    return float(min((min(a[0], b[0]) for a, b in pairs if a != b), default=0.0))
