"""Round times over the run."""

from typing import Any

import numpy as np

from .style import ACCENT, PALE, Json, Plot, multiples, plot, round_times


def creep(doc: Json) -> Plot | None:
    """Round times in the order of measurement, one panel per variant, the baseline behind it."""
    kind = next((kind for kind in ("pipeline", "model-only") if round_times(doc, kind)), None)
    if kind is None:
        return None
    found = round_times(doc, kind)
    base = found.get("baseline")

    def panel(axes: Any, name: str) -> None:
        if base is not None and name != "baseline":
            axes.plot(1000 * np.array(base), color=PALE, lw=1.2)
        axes.plot(1000 * np.array(found[name]), color=ACCENT, lw=1.1)
        axes.set_ylim(0, 1050 * max(max(seconds) for seconds in found.values()))

    return plot(
        "creep",
        f"Milliseconds of each {kind} round in the order of measurement; grey: the baseline beside it. A spell in "
        "which both rise is the machine's; a variant that rises alone creeps.",
        f"Small line charts of {kind} round times over the run, one per variant; the table says how much each drifts.",
        lambda narrow: multiples(list(found), panel, narrow, "round", "ms"),
    )
