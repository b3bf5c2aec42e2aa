"""The verdict table at the end of `pytest bench --gate`."""

from rich import box
from rich.console import Console
from rich.table import Table

from bench.report.format import show_change
from bench.report.terminal import WIDTH

from .gate import Gate


def render(gate: Gate, width: int = WIDTH) -> str:
    """The verdicts, what was dropped, the notes and the run's own verdict, as text."""
    table = Table(title="Gate", box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
    for i, column in enumerate(["kind", "variant", "against", "change % [interval]", "threshold %", "verdict", "why"]):
        table.add_column(column, justify="left" if i in (0, 1, 2, 6) else "right", no_wrap=i != 6)
    for judgement in gate.judgements:
        compared = judgement.comparison
        table.add_row(
            compared.kind,
            compared.variant,
            compared.against,
            show_change(judgement.ratio),
            f"{100 * compared.threshold:g}",
            judgement.verdict,
            judgement.why,
        )
    for failure in gate.failures:
        table.add_row(failure.kind, failure.variant, "-", "-", "-", "failed", failure.why)
    console = Console(width=width, color_system=None, force_terminal=False, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(table)
        lines = gate.contamination() + gate.notes
        if gate.stored is not None:
            lines.append(f"stored: {gate.stored.name}")
        for line in [*lines, f"\nGate: {gate.verdict}"]:
            console.print(line, markup=False, highlight=False)
    return capture.get()
