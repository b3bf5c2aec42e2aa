"""The verdict table at the end of `pytest bench --gate`."""

from rich.text import Text

from bench.report.fitted import WIDTH, Fitted, as_text
from bench.report.format import show_change

from .gate import Gate


def render(gate: Gate, width: int = WIDTH) -> str:
    """The verdicts, what was dropped, the notes and the run's own verdict, as text."""
    columns = ["kind", "variant", "against", "change % [interval]", "threshold %", "verdict", "why"]
    table = Fitted("Gate", columns, ["threshold %", "against"], fold=["why"], left=3)
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
    for failure in gate.unresolved:
        table.add_row(failure.kind, failure.variant, "-", "-", "-", "inconclusive", failure.why)
    lines = gate.contamination() + gate.notes
    if gate.stored is not None:
        lines.append(f"stored: {gate.stored.name}")
    if gate.pinned is not None:
        lines.append(f"pinned: {gate.pinned.name}")
    return as_text([table, *map(Text, [*lines, f"\nGate: {gate.verdict}"])], width)
