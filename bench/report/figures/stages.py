"""Where the time of a chunk goes."""

from matplotlib.figure import Figure

from .style import ACCENT, GREY, PALE, SECOND, Json, Plot, grid, legend, name_rows, new_figure, plot


def stages(doc: Json) -> Plot | None:
    """Mean milliseconds of each stage of the pipeline, stacked."""
    ledger = {v["name"]: v["latency"]["pipeline"]["stages_s"] for v in doc["variants"] if "pipeline" in v["latency"]}
    ledger = {name: spent for name, spent in ledger.items() if spent}
    if not ledger:
        return None
    colours = {"segmentation": GREY, "embedding": ACCENT, "rest": SECOND}

    def draw(narrow: bool) -> Figure:
        figure = new_figure(narrow, (0.42 if narrow else 0.3) * len(ledger) + 0.95)
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
        name_rows(axes, list(ledger), narrow)
        axes.set_xlabel("mean ms per chunk")
        legend(figure, [(stage, colours.get(stage, PALE)) for stage in next(iter(ledger.values()))])
        grid(axes, "x")
        return figure

    told = [f"{name}: " + ", ".join(f"{s} {1000 * t:.1f}" for s, t in spent.items()) for name, spent in ledger.items()]
    return plot(
        "stages",
        "Where a chunk's time goes. The stages sum to the mean; what an embedding's runtime does to its neighbour "
        "shows in the segmentation's share.",
        f"Stacked bars of the pipeline's stages in milliseconds. {'; '.join(told)}.",
        draw,
    )
