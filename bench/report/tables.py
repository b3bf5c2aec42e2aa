"""The report's tables as cells of text, for the page and the summary alike, from a document (docs/report.md)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.latency.kinds import KINDS
from bench.statistics import noise_floor, unbeaten, verdict

from .document import to_interval, to_ratio
from .format import BETWEEN, bracketed, scope, show_between, show_interval, show_percentile
from .paper import TABLE_III
from .profile import operators

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """Columns called "paper" hold the paper's figures; those in `text` hold words, not figures."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: frozenset[str] = frozenset()


def number(value: float | None, digits: int = 2, factor: float = 1.0) -> str:
    """A figure, or a dash where there is none."""
    return "–" if value is None else f"{factor * value:.{digits}f}"


def der(doc: Json, accuracy: Json | None) -> str:
    """A DER in %, a dash where there is none, or that an untrained segmentation leaves nothing to measure."""
    if not (doc["conditions"] or {}).get("segmentation_trained", True):
        return "not measured"
    return number((accuracy or {}).get("der"))


def interval(facts: Json | None) -> str:
    """A ratio in % with its interval."""
    return show_interval(to_ratio(facts)) if facts else "–"


def points(increase: Json | None) -> str:
    """A DER increase with its interval, in points; without the interval where it is not known."""
    if increase is None or increase["points"] is None:
        return "–"
    found = [increase["points"], increase["low"], increase["high"]]
    return f"{found[0]:+.2f}" if None in found else bracketed(found, "+.2f")


def name(variant: Json) -> str:
    """A variant's name, marked if it is untrained."""
    return f"{variant['name']}{'' if variant['trained'] else ' *'}"


def measured(doc: Json, kind: str) -> list[tuple[Json, Json]]:
    """(variant, its latency) of all that were measured."""
    return [(v, v["latency"][kind]) for v in doc["variants"] if kind in v["latency"]]


def table_iii(doc: Json) -> Table:
    """The pipeline beside the paper's Table III."""
    base = TABLE_III["Baseline"].latency
    papers = {v["name"]: v["paper"] for v in doc["variants"]}
    rows = []
    for variant, latency in measured(doc, "pipeline"):
        paper, above = variant["paper"] or {}, papers.get(variant["parent"]) or {}
        both = paper and above
        rows.append([
            name(variant), der(doc, variant["accuracy"]), number(paper.get("der")),
            f"{1000 * latency['mean_s']:.1f} ± {1000 * latency['std_s']:.1f}", number(paper.get("latency_s"), 1, 1000),
            interval(latency["to_baseline"]), number(paper.get("latency_s"), 1, 100 / base), latency["verdict"],
            interval(latency["to_parent"]), number(paper["latency_s"] / above["latency_s"] if both else None, 1, 100),
            latency["parent_verdict"] if latency["to_parent"] else "–",
            number(variant["size_mib"]), number(paper.get("size_mib")), *between(doc, "pipeline", latency),
        ])  # fmt: skip
    columns = [
        "variant", "DER, %", "paper", "mean ± std, ms", "paper", "% of baseline [95 %]", "paper",
        "against the baseline", "% of parent [95 %]", "paper", "against the parent", "size, MiB", "paper",
        *[BETWEEN] * apart(doc, "pipeline"),
    ]  # fmt: skip
    words = frozenset({"against the baseline", "against the parent"})
    return Table(f"The pipeline beside the paper’s Table III{scoped(doc, 'pipeline')}", columns, rows, words)


def processes(doc: Json, kind: str) -> int:
    """How many fresh processes a kind was measured in; 0 where a document does not say."""
    return int((doc["kinds"].get(kind) or {}).get("processes", 0))


def scoped(doc: Json, kind: str) -> str:
    """What the intervals of a kind speak of, to follow a caption."""
    return f" (intervals {scope(processes(doc, kind))})"


def apart(doc: Json, kind: str) -> bool:
    """Whether it is known of a kind what processes differ by."""
    return any((x["to_baseline"] or {}).get("between") is not None for _, x in measured(doc, kind))


def between(doc: Json, kind: str, latency: Json) -> list[str]:
    """The cell of the column `BETWEEN`, where there is one."""
    ratio = to_ratio(latency["to_baseline"]) if latency["to_baseline"] else None
    return [show_between(ratio).replace("-", "–")] if apart(doc, kind) else []


def model_only(doc: Json, kind: str = "model-only", what: str = "The embedding call alone") -> Table:
    """The embedding call alone, or another kind that the paper does not have."""
    rows = [
        [name(v), f"{1000 * x['mean_s']:.1f} ± {1000 * x['std_s']:.1f}", interval(x["to_baseline"]), x["verdict"],
         interval(x["to_parent"]), x["parent_verdict"] if x["to_parent"] else "–", *between(doc, kind, x)]
        for v, x in measured(doc, kind)
    ]  # fmt: skip
    columns = ["variant", "mean ± std, ms", "% of baseline [95 %]", "against the baseline", "% of parent [95 %]",
               "against the parent", *[BETWEEN] * apart(doc, kind)]  # fmt: skip
    words = frozenset({"against the baseline", "against the parent"})
    return Table(f"{what}{scoped(doc, kind)}", columns, rows, words)


def pareto(doc: Json) -> Table:
    """Latency against accuracy, fastest first; "front": nothing measured is better in both. Then the paper's rows."""
    points_ = []
    for v, x in measured(doc, "pipeline"):
        increase, ratio = (v["accuracy"] or {}).get("increase"), x["to_baseline"]
        if v["name"] == "baseline" and v["accuracy"]:
            increase = {"points": 0.0, "low": None, "high": None}
            ratio = {"estimate": 1.0, "low": 1.0, "high": 1.0}
        if increase and ratio is not None and v["trained"] and x["verdict"] != "control":
            points_.append((ratio["estimate"], increase["points"], name(v), interval(ratio), points(increase)))
    front = unbeaten((estimate, change) for estimate, change, *_ in points_)
    rows = [[*cells, "yes" if (x, y) in front else ""] for x, y, *cells in sorted(points_)]
    first = TABLE_III["Baseline"]
    rows += [
        [f"paper: {title}", number(row.latency / first.latency, 1, 100), f"{row.der - first.der:+.2f}", ""]
        for title, row in TABLE_III.items()
    ]
    columns = ["variant", "pipeline, % of baseline [95 %]", "DER change, points [interval]", "front"]
    return Table("Latency and DER, fastest first, then the paper’s rows", columns, rows, frozenset({"front"}))


def floor(doc: Json) -> Table:
    """How far each model is from what its arithmetic alone would take."""
    rows = [
        [name(v), number(a["float32"], 2, 1e-9), number(a["int8"], 2, 1e-9), number(a["floor_s"], 1, 1000),
         number(a["times_floor"])]
        for v in doc["variants"] if (a := v.get("arithmetic"))  # older documents lack it
    ]  # fmt: skip
    columns = ["variant", "G operations in float32", "in int8", "floor, ms", "median, times the floor"]
    return Table("The arithmetic floor of the embedding call on a chunk", columns, rows)


def tails(doc: Json) -> Table:
    """Percentiles of the rounds."""
    keys = ("p50", "p90", "p95", "p99", "max")
    rows = []
    for kind in KINDS:
        for v, x in measured(doc, kind):
            intervals = x.get("percentile_intervals_s", {})  # older documents lack them
            shown = [show_percentile(x["percentiles_s"].get(k), to_interval(intervals.get(k)), "–") for k in keys]
            rows.append([v["name"], kind, str(len(x["rounds_s"])), *shown])
    columns = ["variant", "kind", "rounds", "p50", "p90", "p95 [95 %]", "p99 [95 %]", "max"]
    return Table("Percentiles of the rounds, ms", columns, rows, frozenset({"kind"}))


def ledger(doc: Json, kind: str = "pipeline") -> Table:
    """Mean milliseconds by stage."""
    stages = list(dict.fromkeys(stage for _, x in measured(doc, kind) for stage in x["stages_s"]))
    rows = [
        [v["name"], *(number(x["stages_s"].get(s), 1, 1000) for s in stages), number(x["mean_s"], 1, 1000)]
        for v, x in measured(doc, kind)
    ]
    return Table(f"Stages of the {kind}, mean ms", ["variant", *stages, "whole"], rows)


def footprint(doc: Json) -> Table:
    """Size and memory."""
    rows = [[v["name"], number(v["size_mib"]), number(v["memory_mib"], 1)] for v in doc["variants"]]
    return Table("Saved size and peak memory, MiB", ["variant", "saved size", "peak memory"], rows)


def creep(doc: Json) -> Table:
    """Latency at the end of the run against its beginning; the twin's drift says what is noise."""
    rows = []
    for kind in KINDS:
        found = measured(doc, kind)
        twin = next((x["drift_to_baseline"] for v, x in found if x["verdict"] == "control"), None)
        floor = noise_floor(to_ratio(twin) if twin else None)
        for v, x in found:
            against = x["drift_to_baseline"]
            seen = verdict(to_ratio(against), floor) if against and x["verdict"] != "control" else "–"
            judgement = {"slower": "creeps up", "faster": "creeps down"}.get(seen, seen)
            rows.append([v["name"], kind, interval(x["drift"]), interval(against), judgement])
    columns = ["variant", "kind", "its latency", "its ratio to the baseline", "judgement"]
    caption = "The end of the run in % of its beginning (Theil–Sen slope, 95 %)"
    return Table(caption, columns, rows, frozenset({"kind", "judgement"}))


def accuracy(doc: Json) -> Table:
    """DER, its components and its increase."""
    rows = []
    for v in doc["variants"]:
        if (a := v["accuracy"]) is None:
            continue
        changed = "–" if a["changed_chunks"] is None else str(a["changed_chunks"])
        shares = [number(a[key]) for key in ("der", "missed", "false_alarm", "confusion")]
        rows.append([name(v), *shares, points(a["increase"]), number(v["tolerance"]), a["verdict"] or "–",
                     number(a["heard"], 0), disagreement(a), points(a["beyond_control"]),
                     number(a.get("low_cosine"), 4), number(a["min_cosine"], 6), changed])  # fmt: skip
    columns = ["variant", "DER, %", "missed", "false alarm", "confusion", "increase, points [interval]", "tolerance",
               "verdict", "heard", "disagreement, % [95 %]", "beyond the control's [95 %]", "5 % cosine", "min. cosine",
               "changed chunks"]  # fmt: skip
    return Table("DER and what it is made of", columns, rows, frozenset({"verdict"}))


def disagreement(accuracy: Json) -> str:
    """Of labels with the baseline's, the mean over perturbations with its interval, or that of the recordings alone."""
    found = accuracy.get("mean_disagreement")  # older documents lack it
    if found is None:
        return number(accuracy["disagreement"])
    return bracketed([found[key] for key in ("points", "low", "high")], ".2f")


def worst(doc: Json) -> Table:
    """Chunks of the variants in int8 whose embeddings are farthest from their parents'."""
    rows = [
        [name(v), str(row["file"]), f"{row['start']:.2f}–{row['end']:.2f}", str(row["speaker"]),
         number(row["spoken"]), number(row["cosine"], 4)]
        for v in doc["variants"] for row in (v["accuracy"] or {}).get("worst_chunks") or []
    ]  # fmt: skip
    columns = ["variant", "file", "seconds", "speaker", "speaks, s", "cosine to its parent’s"]
    return Table("Worst chunks in int8, where somebody speaks", columns, rows, frozenset({"file"}))


def by_file(doc: Json) -> Table:
    """DER of each file."""
    scored = [(v, v["accuracy"]["by_file"]) for v in doc["variants"] if v["accuracy"] and v["accuracy"]["by_file"]]
    files = list(dict.fromkeys(file for _, files in scored for file in files))
    rows = [[name(v), *(number(found.get(file)) for file in files)] for v, found in scored]
    return Table("DER by file, %", ["variant", *files], rows)


def history(doc: Json, last: int = 5) -> Table:
    """Ratios of the last stored runs beside this one's; a verdict on this run against the latest of them."""
    runs = doc["history"][-last:]
    ratios = [{(r["kind"], r["variant"]): r for r in run["ratios"]} for run in runs]
    mine = {(kind, v["name"]): x["to_baseline"] for kind in KINDS for v, x in measured(doc, kind) if x["to_baseline"]}
    rows = []
    for key in dict.fromkeys([*mine, *(key for run in ratios for key in run)]):
        judged = (ratios[-1].get(key) or {}).get("now") or "–"
        rows.append([key[1], key[0], *(interval(run.get(key)) for run in ratios), interval(mine.get(key)), judged])
    columns = ["variant", "kind", *(f"{run['label']}, {when(run)}" for run in runs), f"this run, {when(doc)}",
               "this against the one before"]  # fmt: skip
    caption = "Latency in % of the same run’s baseline [95 %]"
    return Table(caption, columns, rows, frozenset({"kind", "this against the one before"}))


def when(run: Json) -> str:
    """Date and time to the minute."""
    return str(run["made"])[:16].replace("T", " ")


def gate(doc: Json) -> Table:
    """The gate's verdicts."""
    rows = []
    for row in doc["gate"] or []:
        change = [row.get(key) for key in ("change", "low", "high")]
        bounds = (
            "" if change[1] is None else f" [{change[1]:+.1f}, {'∞' if change[2] is None else f'{change[2]:+.1f}'}]"
        )
        words = [str(row.get(key) or "–") for key in ("variant", "kind", "against", "verdict", "why")]
        rows.append([*words[:3], "–" if change[0] is None else f"{change[0]:+.1f}{bounds}", *words[3:]])
    columns = ["variant", "kind", "against", "change, %", "verdict", "why"]
    return Table("Verdicts of the gate", columns, rows, frozenset({"kind", "against", "verdict", "why"}))


def profile(doc: Json, kind: str) -> Table:
    """Operator by operator, what two variants spend on a chunk."""
    return Table(*operators(doc["profile"], kind))


def claims(doc: Json) -> Table:
    """The paper's findings."""
    rows = [[claim["paper"], claim["here"], claim["judgement"]] for claim in doc["claims"]]
    columns = ["the paper’s claim", "this run", "judgement"]
    return Table("The paper’s claims", columns, rows, frozenset(columns))


def turns(doc: Json) -> Table:
    """Each track of the timeline in figures."""
    found = doc["timeline"] or {"tracks": []}
    rows = [
        [", ".join(track["names"]), str(len({speaker for *_, speaker in track["turns"]})), str(len(track["turns"])),
         number(sum(end - start for start, end, _ in track["turns"]), 1)]
        for track in found["tracks"]
    ]  # fmt: skip
    return Table("The tracks in figures", ["said by", "speakers", "turns", "seconds of speech"], rows)


def conditions(doc: Json) -> Table:
    """Machine, threads, models, corpus and settings."""
    found = doc["conditions"] or {}
    machine, settings = found.get("machine", {}), found.get("settings", {})
    facts = {
        "CPU": machine.get("cpu"),
        "vector instructions": ", ".join(machine.get("flags", [])) or None,
        "physical cores": machine.get("cores"),
        "frequency governor": machine.get("governor"),
        "load averages at the end": ", ".join(str(load) for load in machine.get("load", [])) or None,
        "system": machine.get("system"),
        "torch, ONNX Runtime": f"{machine['torch']}, {machine['onnxruntime']}" if "torch" in machine else None,
        "threads": found.get("threads"),
        "pinned to CPUs": ", ".join(str(cpu) for cpu in found.get("cpus", [])) or None,
        "embedding": found.get("embedding"),
        "segmentation": found.get("segmentation"),
        "int8 calibrated on": found.get("calibration"),
        "timed on": ", ".join(found.get("timed_on", [])) or None,
        "scored on": ", ".join(found.get("scored_on", [])) or "nothing",
        "pipeline": ", ".join(f"{key} {value:g}" for key, value in settings.items()) or None,
    }
    rows = [[key, str(value)] for key, value in facts.items() if value is not None] if found else []
    return Table("What the figures rest on", ["", "in this run"], rows, frozenset({"in this run"}))
