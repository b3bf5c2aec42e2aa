"""Ratios over stored runs."""

from typing import Any

from .style import ACCENT, GREY, PALE, Json, Plot, multiples, percent, plot


def history(doc: Json) -> Plot | None:
    """Ratios to the baseline over stored runs, one panel per variant; this run is the last."""
    kind = "pipeline" if "pipeline" in doc["kinds"] else "model-only"
    series: dict[str, list[tuple[int, float, float, float, bool]]] = {}
    for i, run in enumerate(doc["history"]):
        for ratio in run["ratios"]:
            if ratio["kind"] == kind:
                series.setdefault(ratio["variant"], []).append((i, *percent(ratio), not run["differing"]))
    for variant in doc["variants"]:
        latency = variant["latency"].get(kind)
        if latency and latency["to_baseline"]:
            last = (len(doc["history"]), *percent(latency["to_baseline"]), True)
            series.setdefault(variant["name"], []).append(last)
    if not doc["history"] or not series:
        return None

    def panel(axes: Any, name: str) -> None:
        axes.axhline(100, color=PALE, lw=1)
        for i, estimate, low, high, same in series[name]:
            colour = ACCENT if same else GREY
            axes.plot([i, i], [low, high], color=colour, lw=1.3)
            axes.plot(i, estimate, "o", ms=4.5, mec=colour, mfc=colour if same else "white")
        axes.set_xlim(-0.5, len(doc["history"]) + 0.5)
        axes.set_xticks(range(len(doc["history"]) + 1))
        axes.set_xticklabels([*(str(i) for i in range(1, len(doc["history"]) + 1)), "now"])
        if len(doc["history"]) > 5:
            axes.set_xticks([0, len(doc["history"])], ["1", "now"])

    return plot(
        "history",
        f"Latency, {kind}, in % of the same run's baseline with its 95 % interval, over stored runs in order of time; "
        "hollow: measured under other conditions, and so not comparable.",
        f"Small charts of each variant's {kind} ratio to the baseline over {len(doc['history'])} stored runs and this "
        "one; the table below gives the figures.",
        lambda narrow: multiples(list(series), panel, narrow, "run", "%"),
    )
