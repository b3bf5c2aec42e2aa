"""`python -m bench score | scale | tune | report | history | advise | bisect`: accuracy, runs, advice, blame."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.text import Text

import variants
from variants import UserError
from variants.commands import command, number, place
from variants.files import utf8_output, write_atomically

from .accuracy.tune import recorded_objective, tune
from .advise.command import VARIANTS, add_advice_options, advise
from .gate.against import GATE, checkout_of
from .gate.bisect import Bisection
from .gate.stored import DEFAULT, thresholds
from .history.pins import Pins
from .history.runs import find, latest, read_runs, superfluous
from .history.storage import locked
from .latency.kinds import KINDS
from .latency.machine import cpu_model
from .report.accuracy import accuracy_tables
from .report.document import finished
from .report.fitted import as_text, terminal_width
from .report.history import as_bencher, as_csv, history_tables
from .report.page import check_folder, summary, write
from .report.stored import older, read, refusing
from .report.terminal import caption, notes
from .run.options import add_options, chosen, parse
from .run.progress import progress
from .run.run import Run
from .run.scale import measure, tables


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(required=True)
    scoring = commands.add_parser("score", help="DER of variants on a corpus (--variants, default: baseline)")
    scoring.set_defaults(run=score)
    tuning = commands.add_parser("tune", help="the best tau, rho and delta for the two models on a corpus")
    tuning.set_defaults(run=best_thresholds)
    tuning.add_argument(
        "--trials", type=number(int, 1), default=100, metavar="N", help="settings to try (default: 100)"
    )
    tuning.add_argument(
        "--heard",
        type=number(int, 1),
        default=4,
        metavar="N",
        help="perturbations to take the mean over: the best under one alone is mostly luck (default: 4)",
    )
    advising = commands.add_parser("advise", help=f"which variant at which step (--variants, default: {VARIANTS})")
    advising.set_defaults(run=advice)
    add_advice_options(advising)
    scaling = commands.add_parser("scale", help="what scoring a corpus costs by --jobs A,B, and what VoxConverse would")
    scaling.set_defaults(run=scale)
    for added in (scoring, tuning, scaling, advising):
        add_options(added.add_argument)
        added.set_defaults(accuracy="full")
    advising.set_defaults(accuracy="quick")
    reporting = commands.add_parser("report", help="the report of a stored run, with older ones beside it")
    reporting.set_defaults(run=report)
    reporting.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN.json", help="oldest first; results.json or stored"
    )
    reporting.add_argument("--out", type=Path, metavar="DIR", help="write the page there (default: print the summary)")
    _add_history(commands)
    bisecting = commands.add_parser(
        "bisect", help="the first commit at which a variant became slower (--variants NAME)"
    )
    bisecting.set_defaults(run=bisect)
    bisecting.add_argument("--good", required=True, metavar="REV", help="a revision where it is still fast")
    bisecting.add_argument("--bad", required=True, metavar="REV", help="a later one where it is slow")
    bisecting.add_argument("--kind", choices=KINDS, default="pipeline", help="of benchmark (default: pipeline)")
    add_options(bisecting.add_argument)
    given = parser.parse_args(arguments)
    return command("bench", lambda: given.run(given))


def _add_history(commands: Any) -> None:
    parent = commands.add_parser("history", help="stored runs: list them, pin a reference, prune, export")
    parent.set_defaults(run=show_history)
    parent.add_argument(
        "--storage",
        type=place,
        default=Path(".benchmarks"),
        metavar="DIR",
        help="of stored runs (default: .benchmarks)",
    )
    parent.add_argument("--kind", choices=KINDS, default="pipeline", help="whose ratios to list (default: pipeline)")
    parent.add_argument(
        "--variants", default="distilled,best-exact", metavar="A,B", help="whose (default: distilled,best-exact)"
    )
    actions = parent.add_subparsers()
    actions.add_parser("show", help="list the runs (what `history` alone does)")
    pinning = actions.add_parser("pin", help="make a run the reference that --gate judges by, beside the last one")
    pinning.add_argument("name", nargs="?", metavar="RUN", help="file, number or name (default: this machine's last)")
    pinning.set_defaults(run=pin)
    unpinning = actions.add_parser("unpin", help="a run is a reference no longer")
    unpinning.add_argument("name", metavar="RUN", help="as `history` lists it")
    unpinning.set_defaults(run=unpin)
    pruning = actions.add_parser("prune", help="delete this machine's older runs; pinned ones stay")
    pruning.add_argument("--keep", type=number(int, 0), required=True, metavar="N", help="how many of the last to keep")
    pruning.add_argument("--all-machines", action="store_true", help="those of other CPU models, too: N of each")
    pruning.add_argument("--dry-run", action="store_true", help="only say which")
    pruning.set_defaults(run=prune)
    exporting = actions.add_parser("export", help="write runs as CSV, or one as Bencher's JSON")
    exporting.add_argument(
        "name", nargs="?", metavar="RUN", help="one run (default: --csv all, --bencher the last here)"
    )
    exporting.add_argument("--csv", type=place, metavar="FILE")
    exporting.add_argument("--bencher", type=place, metavar="FILE", help="for `bencher run --adapter json --file FILE`")
    exporting.set_defaults(run=export)


def _prepared(given: argparse.Namespace, timed: bool = False, told: Callable[..., None] = lambda *_: None) -> Run:
    names = [variant.name for variant in chosen(lambda name: getattr(given, name), "baseline")]
    run = Run(parse(lambda name: getattr(given, name)), names, Path(".pytest_cache/d/diartbench"), told)
    run.prepare(timed)
    return run


def _run(given: argparse.Namespace, told: Callable[..., None] = lambda *_: None) -> Run:
    run = _prepared(given, told=told)
    if not run.models.segmentation_trained:
        raise UserError(f"--segmentation {given.segmentation} has random weights: its DER means nothing, not measured")
    return run


def score(given: argparse.Namespace) -> None:
    """Print the accuracy tables."""
    with progress() as told:
        run = _run(given, told)
        _ = run.scores.evidence
    findings = run.findings()
    parts: list[Any] = [*accuracy_tables(findings), *map(Text, [caption(findings), *notes(findings)])]
    print(as_text(parts, terminal_width(sys.stdout.isatty())), end="")
    if run.scores.accuracy["baseline"].der is None:
        raise UserError(f"no DER was scored: {run.scores.unjudged or 'collar, overlap and UEM leave no speech'}")
    if findings.broken:
        raise UserError("; ".join(f"{name} {why}" for name, why in findings.broken.items()))


def scale(given: argparse.Namespace) -> None:
    """Print what scoring took each number of workers, and what it would take elsewhere; nothing is kept."""
    jobs = given.jobs.split(",")
    for given.jobs in jobs:
        parse(lambda name: getattr(given, name))  # before the first of them
    with progress() as told:
        run = _run(given, told)
        lengths = [seconds or recording.duration for recording, seconds in run.scores.parts]
        for line in tables(measure(run, jobs), list(run.models), lengths):
            print(line, flush=True)


def best_thresholds(given: argparse.Namespace) -> None:
    """Print the thresholds that give the lowest DER on the corpus."""
    run = _run(given)
    if any(recording.reference is None for recording in run.corpus.recordings):
        raise UserError("tune: every recording needs a reference")
    embedding = variants.as_embedding_model(run.models["baseline"])
    settings, segmentation = run.options.pipeline, run.models.segmentation
    parts = run.scores.parts
    files = [file for number in range(given.heard) for file in run.corpus.segmented(parts, perturbation=number)]
    objective = recorded_objective(files, segmentation, embedding, settings)
    best, der = tune(objective, settings, given.trials, given.seed)
    print(f"start: DER {objective(settings):.2f} % at {settings.tau:.3f}, {settings.rho:.3f}, {settings.delta:.3f}")
    print(f"best:  DER {der:.2f} % at --tau {best.tau:.3f} --rho {best.rho:.3f} --delta {best.delta:.3f}")


def advice(given: argparse.Namespace) -> None:
    """Print which variant to run at which step."""
    given.variants = given.variants or VARIANTS
    advise(_prepared(given, timed=True), given)


def report(given: argparse.Namespace) -> None:
    """Write or print the report of the last run named, compared with the others; nothing is measured."""
    history, doc = [older(path) for path in given.runs[:-1]], read(given.runs[-1])
    if history:
        doc = finished(doc, history)
    with refusing(given.runs[-1]):
        if given.out is None:
            print(summary(doc), end="")
            return
        check_folder(given.out)
        print(f"report: {write(doc, given.out)}")


def show_history(given: argparse.Namespace) -> None:
    """List the stored runs, those of this machine first."""
    runs, skipped = read_runs(given.storage)
    names = [name for name in map(str.strip, given.variants.split(",")) if name]
    tables: list[Any] = history_tables(runs, Pins(given.storage).names, given.kind, names, cpu_model())
    print(as_text([*tables, *map(Text, skipped)], terminal_width(sys.stdout.isatty())), end="")
    if not runs:
        raise UserError(f"{given.storage}: no stored run; `pytest bench --benchmark-save=NAME` stores one")


def bisect(given: argparse.Namespace) -> None:
    """Name the first bad commit; a UserError where it cannot be told. `--budget` is that of each step."""
    names = [name for name in map(str.strip, (given.variants or "").split(",")) if name]
    if len(names) != 1 or names == ["all"]:
        raise UserError("bisect: name one variant by --variants")
    parse(lambda name: getattr(given, name))
    parser = argparse.ArgumentParser()
    add_options(parser.add_argument)
    values = {name: getattr(given, name) for name in vars(parser.parse_args([]))}
    options = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
    checkout = checkout_of(GATE)
    threshold = thresholds(checkout / "pyproject.toml").get(names[0], DEFAULT / 100)
    Bisection(checkout, given.kind, names[0], options, given.budget, threshold).run(given.good, given.bad)


def pin(given: argparse.Namespace) -> None:
    """Pin a run, by which the gate judges those under the same conditions."""
    runs, _ = read_runs(given.storage)
    run = latest(runs, cpu_model()) if given.name is None else find(runs, given.name)
    former = Pins(given.storage).pin(run)
    print(f"pinned {run.name}{f' instead of {former}' if former not in (None, run.name) else ''}")


def unpin(given: argparse.Namespace) -> None:
    """Remove a pin."""
    pins = Pins(given.storage)
    name = given.name if given.name in pins.names else find(read_runs(given.storage)[0], given.name).name
    pins.unpin(name)
    print(f"unpinned {name}")


def prune(given: argparse.Namespace) -> None:
    """Delete old runs, none that is pinned."""
    runs, _ = read_runs(given.storage)
    with locked(given.storage):
        cpu = None if given.all_machines else cpu_model()
        gone = superfluous(runs, given.keep, Pins(given.storage).names, cpu)
        for run in gone:
            if not given.dry_run:
                run.path.unlink(missing_ok=True)
            print(f"{'would delete' if given.dry_run else 'deleted'} {run.name}")
    print(f"{len(runs) - len(gone)} of {len(runs)} runs {'would stay' if given.dry_run else 'stay'}")


def export(given: argparse.Namespace) -> None:
    """Write runs for other programs."""
    if given.csv is None and given.bencher is None:
        raise UserError("history export: name a file by --csv or --bencher")
    runs, _ = read_runs(given.storage)
    chosen = None if given.name is None else find(runs, given.name)
    if given.csv is not None:
        write_atomically(given.csv, as_csv(runs if chosen is None else [chosen]))
    if given.bencher is not None:
        one = latest(runs, cpu_model()) if chosen is None else chosen
        write_atomically(given.bencher, json.dumps(as_bencher(one), indent=2) + "\n")


if __name__ == "__main__":
    utf8_output()
    sys.exit(main())
