"""All rounds of every variant."""

import numpy as np
from matplotlib.figure import Figure

from .style import ACCENT, INK, Json, Plot, grid, name_rows, new_figure, plot, round_times


def distributions(doc: Json) -> Plot | None:
    """Every round of every variant, with quartiles."""
    kinds = [kind for kind in ("pipeline", "model-only") if round_times(doc, kind)]
    if not kinds:
        return None

    def draw(narrow: bool) -> Figure:
        rows = [len(round_times(doc, kind)) for kind in kinds]
        figure = new_figure(narrow, sum(0.42 * n + 0.75 for n in rows) if narrow else 0.3 * max(rows) + 1.0)
        ratios = {"height_ratios": rows} if narrow else None
        shape = (len(kinds), 1) if narrow else (1, len(kinds))
        panels = figure.subplots(*shape, squeeze=False, sharey=not narrow, gridspec_kw=ratios).flat
        for i, (axes, kind) in enumerate(zip(panels, kinds, strict=True)):
            found = round_times(doc, kind)
            for row, seconds in enumerate(found.values()):
                ms = 1000 * np.array(seconds)
                spread = row + 0.26 * np.sin(2.4 * np.arange(len(ms)))  # spread out, the same each time
                axes.plot(ms, spread, ".", ms=3, color=ACCENT, alpha=0.4, mew=0)
                q1, median, q3 = np.percentile(ms, [25, 50, 75])
                axes.plot([q1, q3], [row, row], color=INK, lw=2.2, solid_capstyle="butt", alpha=0.75)
                axes.plot(median, row, "|", ms=11, mew=2, color=INK)
            name_rows(axes, list(found), narrow, labelled=narrow or i == 0)
            axes.set_title(kind, pad=14 if narrow else 6)
            axes.set_xlabel("ms per chunk")
            axes.set_xlim(left=0)
            grid(axes, "x")
        return figure

    medians = [f"{name} {1000 * float(np.median(s)):.1f} ms" for name, s in round_times(doc, kinds[0]).items()]
    return plot(
        "distributions",
        "Each dot is one round; the bar runs from the first to the third quartile, the tick is the median. Rounds are "
        "times on a machine that may have slowed down meanwhile: compare ratios, not these.",
        f"Strip plots of round times for {' and '.join(kinds)}. Medians, {kinds[0]}: {', '.join(medians)}.",
        draw,
    )
