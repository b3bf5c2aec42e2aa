"""The tables at the end of `pytest bench`."""

from typing import Any

from rich.text import Text

import variants
from bench.accuracy.der import Accuracy
from bench.latency.results import TWIN, Kind, Latency
from bench.latency.threads import Threads
from bench.statistics import ENOUGH, Ratio, rounds_needed, unbeaten

from .accuracy import accuracy_notes, accuracy_tables
from .claims import Claim, answer, claims
from .comparison import compare_table
from .findings import Findings
from .fitted import WIDTH, Fitted, as_text
from .format import BETWEEN, number, scope, show_between, show_interval, show_percentile
from .paper import TABLE_III
from .profile import facts, operators

TWIN_TARGET = 0.03  # half-width that the default run brings the control to on a quiet machine
TAILS = ("p50", "p90", "p95 [95 %]", "p99 [95 %]", "max")


def render(findings: Findings, width: int = WIDTH) -> str:
    """The report as text: latency by kind, accuracy, stages, claims, notes and the answer."""
    parts: list[Any] = [latency_table(findings, kind) for kind in findings.kinds]
    if findings.accuracy:
        parts += accuracy_tables(findings)
    if findings.floors:
        parts.append(floor_table(findings))
    parts += [stage_table(kind, found) for kind, found in findings.kinds.items()]
    pipeline = findings.kinds.get("pipeline")
    if pipeline is not None:
        if findings.accuracy:
            parts.append(pareto_table(findings))
        parts.append(claims_table(claims(pipeline, findings.evidence, findings.sizes, findings.trained)))
    if taken := facts(findings.profiles):
        for caption_, columns, rows in (operators(taken, kind) for kind in taken["kinds"]):
            parts.append(table := Fitted(caption_, columns))
            table.rows += map(tuple, rows)
    for made, saved in findings.compared.items():
        columns = ["variant", "kind", "then [95 %]", "now [95 %]", "now is"]
        table = Fitted(f"Compared with the run of {made}, in % of each run's own baseline", columns, left=2)
        parts.append(compare_table(saved, findings.kinds, findings.conditions, table))
    parts += [Text(note) for note in [caption(findings), *notes(findings)]]
    parts.append(Text("\n" + answer(pipeline, findings.judgements, findings.trained), style="bold"))
    return as_text(parts, width)


def latency_table(findings: Findings, kind: str) -> Fitted:
    """One kind in the shape of the paper's Table III; beside the pipeline's figures stand the paper's own."""
    paper = kind == "pipeline"
    columns = [
        "variant", "DER %", "paper", "mean ms", "std", "paper", "% of baseline [95 %]", "paper", "verdict",
        "% of parent [95 %]", "paper", "parent verdict", "MiB", "paper",
    ]  # fmt: skip
    spare = ["std", "paper", "parent verdict", "% of parent [95 %]", "MiB", "DER %", "mean ms"]
    found = findings.kinds[kind]
    several = any(x.to_baseline is not None and x.to_baseline.between is not None for x in found.latencies.values())
    columns = [column for column in columns if paper or column != "paper"] + [BETWEEN] * several
    table = Fitted(f"Latency, {kind} (intervals {scope(found.processes)})", columns, spare)
    for name, latency in found.latencies.items():
        entry = variants.get(name)
        row = TABLE_III.get(entry.paper or "")
        above = TABLE_III.get((variants.get(entry.parent).paper if entry.parent else None) or "")
        accuracy = findings.accuracy.get(name)
        cells = [
            _der(accuracy, findings),
            number(row.der if row else None) if paper else None,
            number(1000 * latency.mean, 1),
            number(1000 * latency.std, 1),
            number(1000 * row.latency if row else None, 1) if paper else None,
            show_interval(latency.to_baseline),
            number(100 * row.latency / TABLE_III["Baseline"].latency if row else None, 1) if paper else None,
            latency.verdict,
            show_interval(latency.to_parent),
            number(100 * row.latency / above.latency if row and above else None, 1) if paper else None,
            latency.parent_verdict if latency.to_parent else "-",
            number(findings.sizes.get(name)),
            number(row.size if row else None) if paper else None,
            show_between(latency.to_baseline) if several else None,
        ]
        mark = "" if findings.trained.get(name, True) else " *"
        table.add_row(name + mark, *(cell for cell in cells if cell is not None))
    return table


def _der(accuracy: Accuracy | None, findings: Findings) -> str:
    """A DER in %, a dash where there is none, or that an untrained segmentation leaves nothing to measure."""
    if not findings.conditions.get("segmentation_trained", True):
        return "not measured"
    return number(accuracy.der if accuracy else None)


def stage_table(kind: str, found: Kind) -> Fitted:
    """Where the time of a kind's rounds goes, if they have stages, which sum to the mean; and percentiles of rounds."""
    stages = list(dict.fromkeys(stage for latency in found.latencies.values() for stage in latency.stages))
    title = f"Stages of the {kind}, mean ms" if stages else f"Percentiles, {kind}, ms"
    columns = ["variant", *stages, *["sum"] * bool(stages), *TAILS]
    table = Fitted(title, columns, ["p90", "max", "p50", "sum", *["p95 [95 %]"] * bool(stages)])
    for name, latency in found.latencies.items():
        spent = [latency.stages.get(stage, 0.0) for stage in stages]
        sums = [*spent, sum(spent)] if stages else []
        table.add_row(name, *(number(1000 * x, 1) for x in sums), *_tails(latency))
    return table


def _tails(latency: Latency) -> list[str]:
    return [show_percentile(x, latency.intervals.get(p)) for p, x in latency.percentiles.items()]


def floor_table(findings: Findings) -> Fitted:
    """How far each model is from what its arithmetic alone would take, by its median."""
    speed = next(iter(findings.floors.values())).peak
    table = Fitted(
        f"Arithmetic floor, model-only: {speed.float32 / 1e9:.0f} G operations/s, in int8 {speed.int8 / 1e9:.0f}",
        ["variant", "G float32 a chunk", "G int8", "floor ms", "p50 ms", "times the floor"],
    )
    for name, floor in findings.floors.items():
        median = findings.kinds["model-only"].latencies[name].percentiles["p50"]
        table.add_row(
            name,
            *(number(count / 1e9) for count in floor.operations),
            number(1000 * floor.seconds, 1),
            number(1000 * median if median is not None else None, 1),
            number(median / floor.seconds if median is not None else None),
        )
    return table


def pareto_table(findings: Findings) -> Fitted:
    """Latency against accuracy, fastest first; "front": nothing measured here is better in both. Then the paper's."""
    table = Fitted("Latency x DER", ["variant", "pipeline, % of baseline [95 %]", "DER change, points", "front"])
    points = []
    for name, latency in findings.kinds["pipeline"].latencies.items():
        judged = findings.judgements.get(name)
        change = judged.points if judged else 0.0 if name == "baseline" else None
        ratio = Ratio(1.0, 1.0, 1.0, 0) if name == "baseline" else latency.to_baseline
        if change is not None and ratio is not None:
            points.append((ratio.estimate, change, name, ratio))
    front = unbeaten((estimate, change) for estimate, change, *_ in points)
    for estimate, change, name, ratio in sorted(points):
        table.add_row(name, show_interval(ratio), f"{change:+.2f}", "yes" if (estimate, change) in front else "")
    first = TABLE_III["Baseline"]
    for title, row in TABLE_III.items():
        share, change = 100 * row.latency / first.latency, row.der - first.der
        table.add_row(f"paper: {title}", f"{share:.1f}", f"{change:+.2f}", "")
    return table


def claims_table(judged: list[Claim]) -> Fitted:
    """The paper's findings, one by one."""
    table = Fitted("The paper's claims", ["claim", "this run", "judgement"])
    for claim in judged:
        table.add_row(claim.paper, claim.here, claim.judgement)
    return table


def caption(findings: Findings) -> str:
    """What the tables rest on."""
    conditions = findings.conditions
    machine, settings = conditions["machine"], conditions["settings"]
    parts = [
        f"embedding: {conditions['embedding']}",
        f"segmentation: {conditions['segmentation']}",
        *([f"int8 calibrated on {conditions['calibration']}"] if conditions.get("calibration") else []),
        f"chunk {settings['duration']:g} s, step {settings['step']:g} s, latency {settings['latency']:g} s, "
        f"tau {settings['tau']:g}, rho {settings['rho']:g}, delta {settings['delta']:g}",
    ]
    if findings.accuracy:
        parts.append(f"scored on {', '.join(conditions['scored_on'])}")
    if findings.kinds:
        threads = Threads(conditions["threads"], tuple(conditions["cpus"]))
        parts.append(f"timed on {', '.join(conditions['timed_on'])}")
        parts.append(f"{machine['cpu']} ({', '.join(machine['flags'])}), {threads}")
    return "\n" + "; ".join(parts) + "."


def notes(findings: Findings) -> list[str]:
    """What the reader must know to read the tables right."""
    lines = list(findings.notes)
    if not all(findings.trained.values()):
        lines.append("* an untrained student: only its cost means anything, its DER does not.")
    for kind, result in findings.kinds.items():
        twin = result.twin
        if twin is None:
            lines.append(f"{kind}: no control was measured, so nothing can be told from noise.")
            continue
        reached = "" if twin.half_width <= TWIN_TARGET else f", wider than the {TWIN_TARGET:.0%} of a quiet machine"
        lines.append(
            f"{kind}: {twin.rounds} rounds; the control ({TWIN}) shows {show_interval(twin)} % of the baseline "
            f"(half-width {twin.half_width:.1%}{reached}); differences up to {result.floor:.1%} are noise here."
        )
        lines += [f"{kind}: {note}" for note in result.notes]
        least = min(latency.rounds for latency in result.latencies.values())
        if short := [f"p{q} takes {n}" for q in (95, 99) if least < (n := rounds_needed(q))]:
            lines.append(f"{kind}: {least} rounds are too few for some intervals of percentiles: {', '.join(short)}.")
        if result.processes >= ENOUGH and (apart := twin.between) is not None:
            lines.append(
                f"{kind}: between the {result.processes} processes, the control's ratio varies by {apart:.2%} "
                f"(standard deviation; {twin.share:.0%} of the variance of one process' ratio)."
            )
        if result.unquiet:
            lines.append(f"{kind}: {result.unquiet} times the process did not get quiet before a variant's turn.")
        lines += [f"{kind}: {name} failed: {reason}" for name, reason in result.failures.items()]
    lines += accuracy_notes(findings)
    lines += [f"{name} {reason}" for name, reason in findings.broken.items()]
    lines += [f"skipped {name}: {reason}" for name, reason in findings.skipped.items()]
    return lines
