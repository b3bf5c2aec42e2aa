"""Latency against accuracy."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from bench.latency.results import TWIN
from bench.statistics import unbeaten

from .style import ACCENT, GREY, SMALLEST, Json, Plot, grid, new_figure, percent, plot, short


def pareto(doc: Json) -> Plot | None:
    """Pipeline latency against DER, with both intervals and the front of those that nothing beats in both."""
    points = []
    for variant in doc["variants"]:
        latency, score = variant["latency"].get("pipeline"), variant["accuracy"]
        if latency is None or score is None or score["der"] is None:
            continue
        ratio = latency["to_baseline"]
        if ratio is None and variant["name"] != "baseline":
            continue
        x, low, high = percent(ratio) if ratio else (100.0, 100.0, 100.0)
        points.append((variant, x, low, high, score["der"], score["increase"] or {}))
    if len(points) < 2:
        return None
    trained = [(x, der) for variant, x, *_, der, _ in points if variant["trained"] and variant["name"] != TWIN]
    front = unbeaten(trained)
    floor = doc["kinds"]["pipeline"]["floor"]

    def draw(narrow: bool) -> Figure:
        key_lines = len(points) if narrow else 0
        figure = new_figure(narrow, 3.0 + 0.17 * key_lines if narrow else 4.2)
        axes = figure.add_subplot()
        if floor is not None:
            axes.axvspan(100 * (1 - floor), 100 * (1 + floor), color="#f0f0f0", lw=0, zorder=0)
        if len(front) > 1:
            axes.step(*zip(*front, strict=True), where="post", color=ACCENT, lw=1, ls=(0, (4, 2)), zorder=1)
        for variant, x, low, high, der, increase in points:
            colour = ACCENT if variant["trained"] else GREY
            axes.plot([low, high], [der, der], color=colour, lw=1.1, alpha=0.7)
            ends = [increase.get(end) for end in ("low", "high")]
            if None not in ends:
                shift = der - increase["points"]
                axes.plot([x, x], [shift + end for end in ends], color=colour, lw=1.1, alpha=0.7)
            axes.plot(x, der, "o", ms=5.5, mec=colour, mfc=colour if variant["trained"] else "white", zorder=3)
        axes.margins(x=0.06, y=0.16)
        axes.set_xlabel("pipeline latency, % of the baseline's")
        axes.set_ylabel("DER, %")
        grid(axes, "both")
        names = [f"{i}" if narrow else short(variant["name"]) for i, (variant, *_) in enumerate(points, 1)]
        _label_beside(axes, [(x, der) for _, x, _, _, der, _ in points], names)
        if narrow:
            key = "\n".join(f"{i}  {short(variant['name'], 40)}" for i, (variant, *_) in enumerate(points, 1))
            figure.supxlabel(key, x=0.04, ha="left", fontsize=SMALLEST, linespacing=1.25)
        return figure

    best = min(trained, default=None)
    alt = f"Scatter plot of {len(points)} variants, pipeline latency in % of the baseline's against DER in %. " + (
        f"The fastest trained one lies at {best[0]:.1f} % and DER {best[1]:.2f} %." if best else "None is trained."
    )
    caption = (
        "Down and to the left is better. Bars are 95 % intervals; hollow points are untrained, their DER means nothing."
    )
    if len(front) > 1:
        caption += " The dashed line joins the trained variants that no other trained one beats in both."
    if floor is not None:
        caption += f" The grey band, ±{100 * floor:.1f} %, is the noise that the control shows."
    return plot("pareto", caption, alt, draw)


def _label_beside(axes: Any, points: Sequence[tuple[float, float]], names: Sequence[str]) -> None:
    """Names in a column at the right edge, each joined to its point, spread so that none covers another."""
    low, high = axes.get_ylim()
    height = axes.figure.get_figheight() * 0.62
    gap = min((high - low) * SMALLEST * 1.35 / 72 / height, (high - low) / max(1, len(names) - 1))
    order = sorted(range(len(points)), key=lambda i: (points[i][1], -points[i][0]))
    places: list[float] = []
    for i in order:
        places.append(max(points[i][1], places[-1] + gap) if places else max(points[i][1], low))
    if places and (over := places[-1] - high) > 0:  # push the pile down, from the top
        places[-1] -= over
        for k in range(len(places) - 2, -1, -1):
            places[k] = min(places[k], places[k + 1] - gap)
    right = axes.get_xlim()[1]
    for i, y in zip(order, places, strict=True):
        axes.annotate(
            names[i], points[i], (1.03, y), textcoords=axes.get_yaxis_transform(), va="center_baseline", ha="left",
            arrowprops={"arrowstyle": "-", "color": "#bbbbbb", "lw": 0.8, "shrinkA": 1, "shrinkB": 4}, zorder=2,
        )  # fmt: skip
    axes.set_xlim(right=right)
    axes.set_ylim(low, high)
