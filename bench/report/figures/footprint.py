"""Size on disk and in memory."""

from matplotlib.figure import Figure

from .style import ACCENT, Json, Plot, grid, name_rows, new_figure, plot


def footprint(doc: Json) -> Plot | None:
    """Saved size and peak memory of each variant."""
    panels = [("size_mib", "saved size, MiB"), ("memory_mib", "peak memory, MiB")]
    panels = [(key, label) for key, label in panels if any(v[key] is not None for v in doc["variants"])]
    if not panels:
        return None
    names = [variant["name"] for variant in doc["variants"]]

    def draw(narrow: bool) -> Figure:
        one = (0.42 if narrow else 0.28) * len(names) + 0.6
        figure = new_figure(narrow, one * (len(panels) if narrow else 1))
        shape = (len(panels), 1) if narrow else (1, len(panels))
        for i, (axes, (key, label)) in enumerate(
            zip(figure.subplots(*shape, squeeze=False, sharey=not narrow).flat, panels, strict=True)
        ):
            values = [variant[key] for variant in doc["variants"]]
            for row, value in enumerate(values):
                axes.barh(row, value or 0, height=0.4, color=ACCENT)
                text = "not known" if value is None else f"{value:.1f}"
                axes.annotate(text, (value or 0, row), (4, 0), textcoords="offset points", va="center_baseline")
            name_rows(axes, names, narrow, labelled=narrow or i == 0)
            axes.set_xlabel(label)
            axes.set_xlim(0, 1.18 * max(v for v in values if v is not None))
            grid(axes, "x")
        return figure

    return plot(
        "footprint",
        "Saved size is the file that torch.save(state_dict) or the ONNX export writes; peak memory is what running "
        "the model adds to a process at its high-water mark.",
        "Bars of " + " and ".join(label for _, label in panels) + " of each variant; the table gives the figures.",
        draw,
    )
