"""What the terminal says of accuracy."""

import variants
from bench.accuracy.errors import rate
from bench.accuracy.evidence import need
from bench.accuracy.verdict import ALPHA
from bench.statistics import Crossed

from .findings import Findings
from .fitted import Fitted
from .format import bracketed, number, show_difference


def accuracy_tables(findings: Findings) -> list[Fitted]:
    """All of them."""
    worst = worst_table(findings)
    return [accuracy_table(findings), file_table(findings), *([] if worst is None else [worst])]


def accuracy_table(findings: Findings) -> Fitted:
    """DER with its components, its increase, and what DER cannot see.

    The increase is the mean over the perturbations that the verdict rests on, the disagreement over all that were
    heard, without an interval that of one; DER, cosines and chunks are those of the recordings as they are.
    """
    table = Fitted(
        "Accuracy",
        ["variant", "DER %", "missed", "false al.", "confusion", "increase [interval]", "tolerance", "verdict", "heard",
         "disagreement %", "beyond the control's", "5 % cosine", "min cosine", "changed"],
        ["changed", "tolerance", "beyond the control's", "missed", "false al.", "confusion", "min cosine",
         "5 % cosine", "disagreement %", "heard"],
    )  # fmt: skip
    for name, accuracy in findings.accuracy.items():
        judged, evidence = findings.judgements.get(name), findings.evidence
        beyond = evidence.unlike(name) if evidence and judged else None
        unlike = evidence.disagreement(name) if evidence and name in evidence.heard else None
        table.add_row(
            name + ("" if findings.trained.get(name, True) else " *"),
            number(accuracy.der),
            *(number(accuracy.share(kind)) for kind in ("missed", "false_alarm", "confusion")),
            "-" if judged is None else show_difference(judged.points, judged.low, judged.high),
            f"{variants.get(name).tolerance:.2f}",
            "-" if judged is None else "same labels" if judged.identical else judged.verdict,
            str(judged.heard if judged else len(evidence.heard.get(name, ())) if evidence else "-"),
            number(accuracy.disagreement) if unlike is None else _interval(unlike, ".2f"),
            "-" if beyond is None else _interval(beyond),
            number(accuracy.low_cosine, 4),
            number(accuracy.cosine, 6),
            str(len(accuracy.changed)),
        )
    return table


def _interval(found: Crossed, spec: str = "+.2f") -> str:
    return bracketed((found.points, found.low, found.high), spec)


def worst_table(findings: Findings) -> Fitted | None:
    """Of each variant in int8 the chunks whose embeddings are farthest from its parent's; None without any."""
    table = Fitted(
        "Worst chunks in int8, where somebody speaks", ["variant", "file", "seconds", "speaker", "speaks, s", "cosine"]
    )
    for name in (name for name in findings.accuracy if name in findings.in_int8):
        for file, row in findings.accuracy[name].worst:
            seconds, cosine = f"{row.start:.2f}-{row.end:.2f}", number(row.cosine, 4)
            table.add_row(name, file, seconds, str(row.speaker), number(row.spoken), cosine)
    return table if table.rows else None


def file_table(findings: Findings) -> Fitted:
    """DER of each file, in %."""
    files = [file.name for file in next(iter(findings.accuracy.values())).files]
    table = Fitted("DER % by file", ["variant", *files], files[::-1])
    for name, accuracy in findings.accuracy.items():
        table.add_row(name, *("-" if f.der is None else f"{rate([f.der]):.2f}" for f in accuracy.files))
    return table


def accuracy_notes(findings: Findings) -> list[str]:
    """What chance does to DER here, and what it would take to decide what is not resolved."""
    evidence, lines = findings.evidence, []
    if evidence is None or not findings.judgements:
        return []
    if twin := evidence.twin:
        lines.append(
            "accuracy: the control, the baseline under other perturbations, differs from itself by "
            f"{_interval(twin)} points on average over {evidence.pairs} pairs; one pair by up to {evidence.noise:.2f}."
        )
    if unlike := evidence.twins_disagreement:
        lines.append(f"accuracy: its labels disagree with its own in {_interval(unlike, '.2f')} % of speech.")
    lines.append(
        "accuracy: verdicts speak of these recordings, heard under perturbations that mean nothing; at most "
        f"{ALPHA:.0%} of runs call something worse that is not, and as many within tolerance (docs/accuracy.md)."
    )
    waiting = [
        f"{name} ({need(evidence, name, judged)})"
        for name, judged in findings.judgements.items()
        if judged.verdict == "not resolved"
    ]
    if waiting:
        lines.append(f"accuracy: {len(waiting)} not resolved: {'; '.join(waiting)}.")
    return lines
