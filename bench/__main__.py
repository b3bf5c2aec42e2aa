"""`python -m bench score | scale | tune | report`: accuracy without timing, its cost, thresholds, stored runs."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.text import Text

import variants
from variants import UserError
from variants.commands import command, number
from variants.files import utf8_output

from .accuracy.tune import recorded_objective, tune
from .report.accuracy import accuracy_table, file_table
from .report.document import finished
from .report.fitted import as_text, terminal_width
from .report.page import check_folder, summary, write
from .report.stored import older, read, refusing
from .report.terminal import caption, notes
from .run.options import add_options, parse
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
    scaling = commands.add_parser("scale", help="what scoring a corpus costs by --jobs A,B, and what VoxConverse would")
    scaling.set_defaults(run=scale)
    for added in (scoring, tuning, scaling):
        add_options(added.add_argument)
        added.set_defaults(accuracy="full")
    reporting = commands.add_parser("report", help="the report of a stored run, with older ones beside it")
    reporting.set_defaults(run=report)
    reporting.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN.json", help="oldest first; results.json or stored"
    )
    reporting.add_argument("--out", type=Path, metavar="DIR", help="write the page there (default: print the summary)")
    given = parser.parse_args(arguments)
    return command("bench", lambda: given.run(given))


def _run(given: argparse.Namespace, told: Callable[..., None] = lambda *_: None) -> Run:
    names = [variant.name for variant in variants.select(given.variants or "baseline")]
    run = Run(parse(lambda name: getattr(given, name)), names, Path(".pytest_cache/d/diartbench"), told)
    run.prepare(timed=False)
    if not run.models.segmentation_trained:
        raise UserError(f"--segmentation {given.segmentation} has random weights: its DER means nothing, not measured")
    return run


def score(given: argparse.Namespace) -> None:
    """Print the accuracy tables."""
    with progress() as told:
        run = _run(given, told)
        _ = run.scores.evidence
    findings = run.findings()
    tables: list[Any] = [accuracy_table(findings), file_table(findings)]
    parts = [*tables, *map(Text, [caption(findings), *notes(findings)])]
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
        rows = measure(run, jobs)
    print(tables(rows, list(run.models), [seconds or recording.duration for recording, seconds in run.scores.parts]))


def best_thresholds(given: argparse.Namespace) -> None:
    """Print the thresholds that give the lowest DER on the corpus."""
    run = _run(given)
    if any(recording.reference is None for recording in run.corpus.recordings):
        raise UserError("tune: every recording needs a reference")
    embedding = variants.as_embedding_model(run.models["baseline"])
    settings, files = run.options.pipeline, run.corpus.segmented(run.scores.parts)
    objective = recorded_objective(files, run.models.segmentation, embedding, settings)
    best, der = tune(objective, settings, given.trials, given.seed)
    print(f"start: DER {objective(settings):.2f} % at {settings.tau:.3f}, {settings.rho:.3f}, {settings.delta:.3f}")
    print(f"best:  DER {der:.2f} % at --tau {best.tau:.3f} --rho {best.rho:.3f} --delta {best.delta:.3f}")


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


if __name__ == "__main__":
    utf8_output()
    sys.exit(main())
