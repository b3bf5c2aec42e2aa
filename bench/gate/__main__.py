"""`python -m bench.gate selfcheck | creep`: how often the gate errs on the machine at hand."""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

import variants
from bench.history.runs import read_runs
from bench.latency.interleave import BLOCK
from bench.latency.kinds import STEADY
from bench.statistics import ENOUGH
from variants import UserError
from variants.commands import command, number
from variants.files import check_writable, utf8_output, write_atomically

from .creep import creep_table, noise_of
from .plugin import BUDGET
from .selfcheck import (
    AGAINST,
    FRESH,
    SAME,
    SLOWED,
    Blocks,
    Outcome,
    Row,
    alarming,
    apart,
    as_json,
    contaminated,
    from_json,
    of_pairs,
    replays,
    table,
)
from .verdict import ALPHA

UNLOADED, LOADED = "none", "a competing process"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.gate", description=__doc__)
    commands = parser.add_subparsers(required=True)
    checking = commands.add_parser("selfcheck", help="print the gate's operating curve")
    checking.set_defaults(run=selfcheck)
    add = checking.add_argument
    add("--variant", default="baseline", help="the variant to measure (default: baseline)")
    add("--kind", choices=STEADY, default="model-only")
    add("--seconds", type=number(float, 0), default=420, help="recording without load (default: 420)")
    add(
        "--loaded-seconds",
        type=number(float, 0),
        default=240,
        help="recording beside a competing process (default: 240)",
    )
    add("--live", type=number(int, 0), default=20, metavar="N", help="live runs of unchanged code (default: 20)")
    add(
        "--live-budget", type=number(float, 0), default=30, metavar="S", help="seconds that each may take (default: 30)"
    )
    add("--fresh", type=number(int, 0), default=100, metavar="N", help="and in fresh processes (default: 100)")
    add("--fresh-budget", type=number(float, 0), default=2, metavar="S", help="seconds of each of those (default: 2)")
    add("--resume", action="store_true", help="go on with what --json FILE holds already, if it is there")
    add("--replays", type=number(int, 1), default=400, metavar="N", help="replayed runs of each kind (default: 400)")
    add(
        "--gate-budget",
        type=number(float, 0),
        default=BUDGET,
        metavar="S",
        help=f"of a replayed run (default: {BUDGET:g})",
    )
    add("--threads", type=int, default=1, metavar="N")
    add("--seed", type=int, default=0, metavar="N")
    add("--json", type=Path, metavar="FILE", help="write what was recorded and what came of it")
    add("--from", dest="source", type=Path, metavar="FILE", help="measure nothing: replay what --json wrote")
    creeping = commands.add_parser("creep", help="print how often small steps from run to run are found")
    creeping.set_defaults(run=creep)
    add = creeping.add_argument
    add("--storage", type=Path, default=Path(".benchmarks"), metavar="DIR", help="of the runs whose controls are noise")
    add("--series", type=number(int, 1), default=1000, metavar="N", help="of releases to draw (default: 1000)")
    add("--judged", type=number(int, 1), default=3, metavar="M", help="comparisons that share the error (default: 3)")
    given = parser.parse_args(arguments)
    return command("bench.gate", lambda: given.run(given))


def selfcheck(given: argparse.Namespace) -> None:
    """Record (or read), replay, and print the table in markdown."""
    begin = time.monotonic()
    if given.json is not None:
        check_writable(given.json, "--json")  # before minutes of measuring
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        if given.source is None:
            saved = resumed(given) or measured(given, bar)
            keep(given, saved)  # before anything can go wrong
            in_fresh_processes(given, saved, bar)
        else:
            saved = read(given.source)
        rows = curve(saved, given, bar)
    if given.json is not None:
        write_atomically(given.json, json.dumps(saved | {"rows": [asdict(row) for row in rows]}))
    facts = saved["conditions"]
    print(f"`{saved['variant']}`, {saved['kind']}; {facts['cpu']}, {facts['threads']}; seed {given.seed}.")
    for load, blocks in saved["recorded"].items():
        share = contaminated(from_json(blocks))
        print(f"Load: {load}: {len(blocks)} blocks recorded, {share:.1%} of them contaminated.")
    minutes = (saved["seconds"] if given.source else time.monotonic() - begin) / 60
    print(f"Recorded and run live in {saved['seconds'] / 60:.1f} minutes, all in {minutes:.1f}.\n")
    print(table(rows))
    for way, saved_outcomes in saved.get("fresh", {}).items():
        outcomes = [Outcome(**outcome) for outcome in saved_outcomes]
        if (found := apart(outcomes)) is not None:
            print(f"\nOf {way}, the ratio varies by {found:.2%} from run to run, beyond what varies within them.")
        if alarming(outcomes):
            print(f"They alarm more than the stated {ALPHA:.0%}: PAIRS in bench/gate/verdict.py has to be {ENOUGH}.")


def keep(given: argparse.Namespace, saved: dict[str, Any]) -> None:
    """Write what there is by now, if it is to be written."""
    if given.json is not None:
        write_atomically(given.json, json.dumps(saved))


def resumed(given: argparse.Namespace) -> dict[str, Any] | None:
    """What an earlier run of the same kind left; None if it is not asked for, or not there. UserError for another."""
    if not (given.resume and given.json is not None and given.json.exists() and given.json.stat().st_size):
        return None
    saved = read(given.json)
    if (saved["variant"], saved["kind"]) != (given.variant, given.kind):
        raise UserError(f"--resume: {given.json} is of {saved['variant']}, {saved['kind']}")
    return saved


def in_fresh_processes(given: argparse.Namespace, saved: dict[str, Any], bar: Progress) -> None:
    """Bring `saved` to as many runs in fresh processes as are asked for, and keep each."""
    from .against import Worker
    from .fresh import fresh

    known = {way: [Outcome(**o) for o in saved.get("fresh", {}).get(way, [])] for way in (FRESH, AGAINST)}
    task = bar.add_task("in fresh processes", total=2 * given.fresh, completed=sum(map(len, known.values())))
    begin, before = time.monotonic(), saved["seconds"]

    def save() -> None:
        saved["fresh"] = {way: [asdict(outcome) for outcome in outcomes] for way, outcomes in known.items()}
        saved["seconds"] = before + time.monotonic() - begin
        keep(given, saved)
        bar.advance(task)

    step = {"step": 1.0}  # fewer chunks, which take time to be segmented
    fresh(Worker, given.kind, given.variant, values_of(given) | step, given.fresh_budget, given.fresh, known, save)


def values_of(given: argparse.Namespace) -> dict[str, Any]:
    """A command line by name for what is to be measured."""
    from bench.run.options import add_options

    options = argparse.ArgumentParser()
    add_options(options.add_argument)
    return vars(options.parse_args([])) | {"accuracy": "off", "threads": given.threads, "seed": given.seed}


def measured(given: argparse.Namespace, bar: Progress) -> dict[str, Any]:
    """Everything that takes the machine, as JSON values."""
    from bench.latency.machine import cpu_model
    from bench.run.cores import Cores
    from bench.run.options import parse
    from bench.run.run import Run

    from .record import competitor, live, record, timed_copies

    variants.get(given.variant, "embedding")
    begin = time.monotonic()
    facts = {"cpu": cpu_model(), "threads": str(Cores(given.threads).threads)}
    nothing = {"variant": given.variant, "kind": given.kind, "conditions": facts, "recorded": {}, "live": []}
    if not (given.seconds or given.loaded_seconds or given.live):
        return {**nothing, "seconds": 0.0}
    with tempfile.TemporaryDirectory() as folder:
        run = Run(parse(values_of(given).__getitem__), [given.variant], Path(folder), lambda *_: None)
        run.prepare(True)
        timed = timed_copies(run, given.kind, given.variant)
        recorded = {}
        for load, seconds in ((UNLOADED, given.seconds), (LOADED, given.loaded_seconds)):
            if not seconds:
                continue
            task = bar.add_task(f"recording, load: {load}", total=1.0)

            def show(done: float, task: Any = task) -> None:
                bar.update(task, completed=done)

            if load == UNLOADED:
                recorded[load] = record(timed, given.kind, seconds, given.seed, show)
            else:
                with competitor(run.cores.threads.cpus):
                    recorded[load] = record(timed, given.kind, seconds, given.seed, show)
            bar.update(task, completed=1.0)
        outcomes = [
            live(timed, given.kind, given.variant, number, given.live_budget)
            for number in bar.track(range(given.live), description="live runs")
        ]
    return {
        **nothing,
        "seconds": time.monotonic() - begin,
        "recorded": {load: as_json(blocks) for load, blocks in recorded.items()},
        "live": [asdict(outcome) for outcome in outcomes],
    }


def read(path: Path) -> dict[str, Any]:
    """What an earlier run wrote; UserError if it is no such file."""
    try:
        saved: dict[str, Any] = json.loads(path.read_bytes())
        for blocks in saved["recorded"].values():
            if any({*SAME, *SLOWED} - block.keys() for block in from_json(blocks)):
                raise KeyError("a block lacks a subject")
        for outcomes in (saved["live"], *saved.get("fresh", {}).values()):
            _ = [Outcome(**outcome) for outcome in outcomes]
        _ = saved["variant"], saved["kind"], saved["conditions"], saved["seconds"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not what `selfcheck --json` writes ({error})") from None
    return saved


def curve(saved: dict[str, Any], given: argparse.Namespace, bar: Progress) -> list[Row]:
    """Every line of the table: replays for each load, and the live runs."""
    rows: list[Row] = []
    for load, blocks in saved["recorded"].items():
        task = bar.add_task(f"replaying, load: {load}", total=given.replays * (1 + len(SLOWED)))
        found: Blocks = from_json(blocks)
        step = lambda task=task: bar.advance(task)  # noqa: E731
        rows += replays(found, load, given.replays, given.gate_budget, BLOCK, given.seed, step)
    if saved["live"]:
        rows.append(Row(UNLOADED, "live", 0.0, None, [Outcome(**outcome) for outcome in saved["live"]]))
    for way, saved_outcomes in saved.get("fresh", {}).items():
        if outcomes := [Outcome(**outcome) for outcome in saved_outcomes]:
            rows.append(Row(UNLOADED, way, 0.0, None, outcomes))
        if way == AGAINST and (drawn := of_pairs(outcomes, given.replays, given.seed)):
            rows.append(Row(UNLOADED, f"{ENOUGH} pairs of processes, drawn from those", 0.0, None, drawn))
    return rows


def creep(given: argparse.Namespace) -> None:
    """Print what the gate makes of releases that grow slower by small steps, and of those that do not."""
    noise = noise_of(read_runs(given.storage)[0])
    if not noise:
        raise UserError(f"{given.storage}: no stored run has a control whose noise could be drawn")
    print(creep_table((0.0, 0.005, 0.01, 0.015), noise, given.series, given.judged))


if __name__ == "__main__":
    utf8_output()
    sys.exit(main())
