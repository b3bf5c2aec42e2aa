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
from bench.latency.kinds import KINDS
from variants import UserError
from variants.commands import command, number
from variants.files import check_writable, utf8_output, write_atomically

from .creep import creep_table, noise_of
from .plugin import BUDGET
from .selfcheck import SAME, SLOWED, Blocks, Outcome, Row, as_json, contaminated, from_json, replays, table

UNLOADED, LOADED = "none", "a competing process"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.gate", description=__doc__)
    commands = parser.add_subparsers(required=True)
    checking = commands.add_parser("selfcheck", help="print the gate's operating curve")
    checking.set_defaults(run=selfcheck)
    add = checking.add_argument
    add("--variant", default="baseline", help="the variant to measure (default: baseline)")
    add("--kind", choices=KINDS, default="model-only")
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
            saved = measured(given, bar)
            if given.json is not None:  # before anything can go wrong with the replays
                write_atomically(given.json, json.dumps(saved))
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


def measured(given: argparse.Namespace, bar: Progress) -> dict[str, Any]:
    """Everything that takes the machine, as JSON values."""
    from bench.latency.machine import cpu_model
    from bench.run.options import add_options, parse
    from bench.run.run import Run

    from .record import competitor, live, record, timed_copies

    variants.get(given.variant, "embedding")
    options = argparse.ArgumentParser()
    add_options(options.add_argument)
    values = vars(options.parse_args([])) | {"accuracy": "off", "threads": given.threads, "seed": given.seed}
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = Run(parse(values.__getitem__), [given.variant], Path(folder), lambda *_: None)
        run.prepare(True)
        timed = timed_copies(run, given.kind, given.variant)
        recorded = {}
        for load, seconds in ((UNLOADED, given.seconds), (LOADED, given.loaded_seconds)):
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
        "variant": given.variant,
        "kind": given.kind,
        "conditions": {"cpu": cpu_model(), "threads": str(run.cores.threads)},
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
        _ = saved["live"], saved["variant"], saved["kind"], saved["conditions"], saved["seconds"]
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
