"""What all plots share: sizes, colours, and the parts that they are made of, by matplotlib without pyplot."""

import base64
import io
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.patches
import matplotlib.ticker
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


def printable(text: str) -> str:
    """Without the control characters that XML forbids, and that no reader could see."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def short(name: str, limit: int = 34) -> str:
    """A name that leaves room for the plot."""
    name = printable(name)
    return name if len(name) <= limit else f"{name[: limit - 1]}…"


def round_times(doc: Json, kind: str) -> dict[str, list[float]]:
    """Seconds of every round of each variant that has any."""
    rounds = {v["name"]: v["latency"][kind]["rounds_s"] for v in doc["variants"] if kind in v["latency"]}
    return {name: seconds for name, seconds in rounds.items() if seconds}


def percent(ratio: Json) -> tuple[float, float, float]:
    """Estimate and interval in %; where the interval has no bound, it is the estimate's."""
    estimate, high = 100 * ratio["estimate"], ratio["high"]
    return (estimate, estimate, estimate) if high is None else (estimate, 100 * ratio["low"], 100 * high)


def new_figure(narrow: bool, height: float) -> Figure:
    """An empty figure, `height` in inches."""
    return Figure(figsize=(NARROW if narrow else WIDE, height), layout="constrained")


def plot(name: str, caption: str, alt: str, draw: Draw) -> Plot:
    """Draw both forms of a figure."""
    return Plot(name, caption, printable(alt), _svg(draw(False)), _svg(draw(True)))


def _svg(figure: Figure) -> str:
    """As a data URI: an image of its own, whose names cannot meet another's and in which no script runs."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def grid(axes: Any, axis: str) -> None:
    """Pale lines behind the data."""
    axes.grid(axis=axis, color="#ececec", lw=0.8)
    axes.set_axisbelow(True)


def name_rows(axes: Any, names: Sequence[str], narrow: bool, labelled: bool = True) -> None:
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


def multiples(names: Sequence[str], panel: Callable[[Any, str], None], narrow: bool, x: str, y: str) -> Figure:
    """A grid of small panels of one scale, one per name."""
    columns = min(len(names), 2 if narrow else 4)
    rows = -(-len(names) // columns)
    width, height = NARROW if narrow else WIDE, 1.5 * rows + 0.55
    figure = Figure(figsize=(width, height))  # margins by hand: the layout engine takes seconds for so many panels
    edges = {"left": 0.6 / width, "right": 1 - 0.1 / width, "bottom": 0.45 / height, "top": 1 - 0.35 / height}
    panels = figure.subplots(
        rows, columns, squeeze=False, sharex=True, sharey=True, gridspec_kw={**edges, "wspace": 0.12, "hspace": 0.55}
    )
    for i, axes in enumerate(panels.flat):
        if i >= len(names):
            axes.set_visible(False)
            continue
        panel(axes, names[i])
        axes.set_title("\n".join(textwrap.wrap(short(names[i], 40), 24)), fontweight="normal")
        axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(4))
        axes.tick_params(labelbottom=i + columns >= len(names))  # also above an empty place
        grid(axes, "y")
    figure.text(0.5, 0.05 / height, x, ha="center", va="bottom")
    figure.text(0.05 / width, 0.5, y, ha="left", va="center", rotation="vertical")
    return figure


def legend(figure: Figure, entries: Iterable[tuple[str, str]], columns: int = 3) -> None:
    """Labels with patches of their colours, above the axes."""
    handles = [(matplotlib.patches.Patch(color=colour), label) for label, colour in entries]
    patches, labels = zip(*handles, strict=True)
    figure.legend(patches, labels, loc="outside upper left", ncols=columns, handlelength=1.0, columnspacing=1.2)
