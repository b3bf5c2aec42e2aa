"""The report's plots: from a document (docs/report.md) to SVG, by matplotlib's figures, without pyplot.

Each is drawn twice, for wide and for narrow screens, with the same size of print in both.
"""

import base64
import io
import itertools
import textwrap
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import matplotlib.patches
import matplotlib.ticker
import numpy as np
from matplotlib.figure import Figure

WIDE, NARROW = 9.0, 3.75  # inches; at 96 pixels per inch a column of 864 and a phone's 360
SMALLEST = 8.5  # points of print, 11 pixels
INK, GREY, PALE, ACCENT, SECOND = "#222222", "#8a8a8a", "#dddddd", "#1f5a8a", "#c26a2d"
SPEAKERS = ["#1f5a8a", "#c26a2d", "#3f7d4e", "#8a4f9e", "#b8962e", "#5aa0b5", "#a33b4a", "#777777"]
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": SMALLEST,
    "axes.titlesize": SMALLEST,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": SMALLEST,
    "xtick.labelsize": SMALLEST,
    "ytick.labelsize": SMALLEST,
    "legend.fontsize": SMALLEST,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "text.parse_math": False,  # names may hold dollar signs
    "svg.fonttype": "path",  # the same everywhere, whatever fonts a reader has
    "svg.hashsalt": "diartbench",
}
Json = Mapping[str, Any]
Draw = Callable[[bool], Figure]  # narrow?


@dataclass(frozen=True)
class Plot:
    """A figure: its name, what stands under it, what it says to those who do not see it, and its two SVGs."""

    name: str
    caption: str
    alt: str
    wide: str
    narrow: str


def plots(doc: Json) -> dict[str, Plot]:
    """Every plot that the document holds enough for, by name."""
    makers = (pareto, distributions, stages, footprint, creep, history, who_spoke_when)
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # glyphs that the font lacks
        found = [maker(doc) for maker in makers]
    return {plot.name: plot for plot in found if plot is not None}


def printable(text: str) -> str:
    """Without the control characters that XML forbids, and that no reader could see."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def short(name: str, limit: int = 34) -> str:
    """A name that leaves room for the plot."""
    name = printable(name)
    return name if len(name) <= limit else f"{name[: limit - 1]}…"


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
        x, low, high = _percent(ratio) if ratio else (100.0, 100.0, 100.0)
        points.append((variant, x, low, high, score["der"], score["increase"] or {}))
    if len(points) < 2:
        return None
    trained = [(x, der) for variant, x, *_, der, _ in points if variant["trained"]]
    front = [p for p in sorted(set(trained)) if not any(o != p and o[0] <= p[0] and o[1] <= p[1] for o in trained)]
    floor = doc["kinds"]["pipeline"]["floor"]

    def draw(narrow: bool) -> Figure:
        key_lines = len(points) if narrow else 0
        figure = _figure(narrow, 3.0 + 0.17 * key_lines if narrow else 4.2)
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
        _grid(axes, "both")
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
    return _plot("pareto", caption, alt, draw)


def distributions(doc: Json) -> Plot | None:
    """Every round of every variant, with quartiles."""
    kinds = [kind for kind in ("pipeline", "model-only") if _seconds(doc, kind)]
    if not kinds:
        return None

    def draw(narrow: bool) -> Figure:
        rows = [len(_seconds(doc, kind)) for kind in kinds]
        figure = _figure(narrow, sum(0.42 * n + 0.75 for n in rows) if narrow else 0.3 * max(rows) + 1.0)
        grid = {"height_ratios": rows} if narrow else None
        shape = (len(kinds), 1) if narrow else (1, len(kinds))
        panels = figure.subplots(*shape, squeeze=False, sharey=not narrow, gridspec_kw=grid).flat
        for i, (axes, kind) in enumerate(zip(panels, kinds, strict=True)):
            found = _seconds(doc, kind)
            for row, seconds in enumerate(found.values()):
                ms = 1000 * np.array(seconds)
                spread = row + 0.26 * np.sin(2.4 * np.arange(len(ms)))  # spread out, the same each time
                axes.plot(ms, spread, ".", ms=3, color=ACCENT, alpha=0.4, mew=0)
                q1, median, q3 = np.percentile(ms, [25, 50, 75])
                axes.plot([q1, q3], [row, row], color=INK, lw=2.2, solid_capstyle="butt", alpha=0.75)
                axes.plot(median, row, "|", ms=11, mew=2, color=INK)
            _rows(axes, list(found), narrow, labelled=narrow or i == 0)
            axes.set_title(kind, pad=14 if narrow else 6)
            axes.set_xlabel("ms per chunk")
            axes.set_xlim(left=0)
            _grid(axes, "x")
        return figure

    medians = [f"{name} {1000 * float(np.median(s)):.1f} ms" for name, s in _seconds(doc, kinds[0]).items()]
    return _plot(
        "distributions",
        "Each dot is one round; the bar runs from the first to the third quartile, the tick is the median. Rounds are "
        "times on a machine that may have slowed down meanwhile: compare ratios, not these.",
        f"Strip plots of round times for {' and '.join(kinds)}. Medians, {kinds[0]}: {', '.join(medians)}.",
        draw,
    )


def stages(doc: Json) -> Plot | None:
    """Mean milliseconds of each stage of the pipeline, stacked."""
    ledger = {v["name"]: v["latency"]["pipeline"]["stages_s"] for v in doc["variants"] if "pipeline" in v["latency"]}
    ledger = {name: spent for name, spent in ledger.items() if spent}
    if not ledger:
        return None
    colours = {"segmentation": GREY, "embedding": ACCENT, "rest": SECOND}

    def draw(narrow: bool) -> Figure:
        figure = _figure(narrow, (0.42 if narrow else 0.3) * len(ledger) + 0.95)
        axes = figure.add_subplot()
        widest = max(sum(spent.values()) for spent in ledger.values())
        for row, spent in enumerate(ledger.values()):
            left = 0.0
            for stage, seconds in spent.items():
                axes.barh(row, 1000 * seconds, left=1000 * left, height=0.5, color=colours.get(stage, PALE))
                if seconds > 0.1 * widest:
                    middle = 1000 * (left + seconds / 2)
                    axes.text(middle, row, f"{1000 * seconds:.0f}", ha="center", va="center_baseline", color="white")
                left += seconds
        _rows(axes, list(ledger), narrow)
        axes.set_xlabel("mean ms per chunk")
        _legend(figure, [(stage, colours.get(stage, PALE)) for stage in next(iter(ledger.values()))])
        _grid(axes, "x")
        return figure

    told = [f"{name}: " + ", ".join(f"{s} {1000 * t:.1f}" for s, t in spent.items()) for name, spent in ledger.items()]
    return _plot(
        "stages",
        "Where a chunk's time goes. The stages sum to the mean; what an embedding's runtime does to its neighbour "
        "shows in the segmentation's share.",
        f"Stacked bars of the pipeline's stages in milliseconds. {'; '.join(told)}.",
        draw,
    )


def footprint(doc: Json) -> Plot | None:
    """Saved size and peak memory of each variant."""
    panels = [("size_mib", "saved size, MiB"), ("memory_mib", "peak memory, MiB")]
    panels = [(key, label) for key, label in panels if any(v[key] is not None for v in doc["variants"])]
    if not panels:
        return None
    names = [variant["name"] for variant in doc["variants"]]

    def draw(narrow: bool) -> Figure:
        one = (0.42 if narrow else 0.28) * len(names) + 0.6
        figure = _figure(narrow, one * (len(panels) if narrow else 1))
        shape = (len(panels), 1) if narrow else (1, len(panels))
        for i, (axes, (key, label)) in enumerate(
            zip(figure.subplots(*shape, squeeze=False, sharey=not narrow).flat, panels, strict=True)
        ):
            values = [variant[key] for variant in doc["variants"]]
            for row, value in enumerate(values):
                axes.barh(row, value or 0, height=0.4, color=ACCENT)
                text = "not known" if value is None else f"{value:.1f}"
                axes.annotate(text, (value or 0, row), (4, 0), textcoords="offset points", va="center_baseline")
            _rows(axes, names, narrow, labelled=narrow or i == 0)
            axes.set_xlabel(label)
            axes.set_xlim(0, 1.18 * max(v for v in values if v is not None))
            _grid(axes, "x")
        return figure

    return _plot(
        "footprint",
        "Saved size is the file that torch.save(state_dict) or the ONNX export writes; peak memory is what running "
        "the model adds to a process at its high-water mark.",
        "Bars of " + " and ".join(label for _, label in panels) + " of each variant; the table gives the figures.",
        draw,
    )


def creep(doc: Json) -> Plot | None:
    """Round times in the order of measurement, one panel per variant, the baseline behind it."""
    kind = next((kind for kind in ("pipeline", "model-only") if _seconds(doc, kind)), None)
    if kind is None:
        return None
    found = _seconds(doc, kind)
    base = found.get("baseline")

    def panel(axes: Any, name: str) -> None:
        if base is not None and name != "baseline":
            axes.plot(1000 * np.array(base), color=PALE, lw=1.2)
        axes.plot(1000 * np.array(found[name]), color=ACCENT, lw=1.1)
        axes.set_ylim(0, 1050 * max(max(seconds) for seconds in found.values()))

    return _plot(
        "creep",
        f"Milliseconds of each {kind} round in the order of measurement; grey: the baseline beside it. A spell in "
        "which both rise is the machine's; a variant that rises alone creeps.",
        f"Small line charts of {kind} round times over the run, one per variant; the table says how much each drifts.",
        lambda narrow: _multiples(list(found), panel, narrow, "round", "ms"),
    )


def history(doc: Json) -> Plot | None:
    """Ratios to the baseline over stored runs, one panel per variant; this run is the last."""
    kind = "pipeline" if "pipeline" in doc["kinds"] else "model-only"
    series: dict[str, list[tuple[int, float, float, float, bool]]] = {}
    for i, run in enumerate(doc["history"]):
        for ratio in run["ratios"]:
            if ratio["kind"] == kind:
                series.setdefault(ratio["variant"], []).append((i, *_percent(ratio), not run["differing"]))
    for variant in doc["variants"]:
        latency = variant["latency"].get(kind)
        if latency and latency["to_baseline"]:
            last = (len(doc["history"]), *_percent(latency["to_baseline"]), True)
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

    return _plot(
        "history",
        f"Latency, {kind}, in % of the same run's baseline with its 95 % interval, over stored runs in order of time; "
        "hollow: measured under other conditions, and so not comparable.",
        f"Small charts of each variant's {kind} ratio to the baseline over {len(doc['history'])} stored runs and this "
        "one; the table below gives the figures.",
        lambda narrow: _multiples(list(series), panel, narrow, "run", "%"),
    )


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
        figure = _figure(narrow, total + 0.75 + 0.2 * (-(-len(speakers) // (2 if narrow else 5))))
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
        _legend(
            figure, [(short(s, 20), SPEAKERS[i % len(SPEAKERS)]) for i, s in enumerate(speakers)], 2 if narrow else 5
        )
        return figure

    part = "" if end <= window else f" Shown are {begin:.0f} to {until:.0f} s of {end:.0f}."
    return _plot(
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


def _seconds(doc: Json, kind: str) -> dict[str, list[float]]:
    rounds = {v["name"]: v["latency"][kind]["rounds_s"] for v in doc["variants"] if kind in v["latency"]}
    return {name: seconds for name, seconds in rounds.items() if seconds}


def _percent(ratio: Json) -> tuple[float, float, float]:
    """Estimate and interval in %; where the interval has no bound, it is the estimate's."""
    estimate, high = 100 * ratio["estimate"], ratio["high"]
    return (estimate, estimate, estimate) if high is None else (estimate, 100 * ratio["low"], 100 * high)


def _figure(narrow: bool, height: float) -> Figure:
    return Figure(figsize=(NARROW if narrow else WIDE, height), layout="constrained")


def _plot(name: str, caption: str, alt: str, draw: Draw) -> Plot:
    return Plot(name, caption, printable(alt), _svg(draw(False)), _svg(draw(True)))


def _svg(figure: Figure) -> str:
    """As a data URI: an image of its own, whose names cannot meet another's and in which no script runs."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def _grid(axes: Any, axis: str) -> None:
    axes.grid(axis=axis, color="#ececec", lw=0.8)
    axes.set_axisbelow(True)


def _rows(axes: Any, names: Sequence[str], narrow: bool, labelled: bool = True) -> None:
    """One row per name, the first on top; the names at the left, or above their rows where there is no room."""
    axes.set_ylim(len(names) - 0.45, -0.85 if narrow else -0.55)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    if narrow:
        axes.set_yticks([])
        for row, name in enumerate(names):
            place = {"transform": axes.get_yaxis_transform(), "va": "bottom", "ha": "left"}
            axes.text(0.0, row - 0.3, short(name, 44), **place)
    elif labelled:
        axes.set_yticks(range(len(names)), [short(name) for name in names])


def _multiples(names: Sequence[str], panel: Callable[[Any, str], None], narrow: bool, x: str, y: str) -> Figure:
    """A grid of small panels of one scale, one per name."""
    columns = min(len(names), 2 if narrow else 4)
    rows = -(-len(names) // columns)
    width, height = NARROW if narrow else WIDE, 1.5 * rows + 0.55
    figure = Figure(figsize=(width, height))  # margins by hand: the layout engine takes seconds for so many panels
    edges = {"left": 0.6 / width, "right": 1 - 0.1 / width, "bottom": 0.45 / height, "top": 1 - 0.35 / height}
    grid = figure.subplots(
        rows, columns, squeeze=False, sharex=True, sharey=True, gridspec_kw={**edges, "wspace": 0.12, "hspace": 0.55}
    )
    for i, axes in enumerate(grid.flat):
        if i >= len(names):
            axes.set_visible(False)
            continue
        panel(axes, names[i])
        axes.set_title("\n".join(textwrap.wrap(short(names[i], 40), 24)), fontweight="normal")
        axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(4))
        axes.tick_params(labelbottom=i + columns >= len(names))  # also above an empty place
        _grid(axes, "y")
    figure.text(0.5, 0.05 / height, x, ha="center", va="bottom")
    figure.text(0.05 / width, 0.5, y, ha="left", va="center", rotation="vertical")
    return figure


def _legend(figure: Figure, entries: Iterable[tuple[str, str]], columns: int = 3) -> None:
    handles = [(matplotlib.patches.Patch(color=colour), label) for label, colour in entries]
    patches, labels = zip(*handles, strict=True)
    figure.legend(patches, labels, loc="outside upper left", ncols=columns, handlelength=1.0, columnspacing=1.2)


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
