"""`python -m bench.accuracy coverage | selfcheck`: how far intervals and verdicts on accuracy can be trusted."""

import argparse
import json
import sys
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

import variants
from bench.run.options import add_options, parse
from bench.run.run import Run
from variants import UserError
from variants.commands import command, number
from variants.files import check_writable, utf8_output, write_atomically

from . import coverage, selfcheck
from .cache import as_score
from .damage import noisy
from .der import Accuracy

DAMAGE = (0.05, 0.1, 0.2)  # standard deviations of the noise in the weights, in units of their own


def main(arguments: list[str] | None = None) -> int:
    """Print one table in markdown; 0 if all went well, 1 after one line on stderr that says what did not."""
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy", description=__doc__)
    commands = parser.add_subparsers(required=True, dest="command")
    covering = commands.add_parser("coverage", help="how often intervals hold the truth, simulated")
    covering.add_argument(
        "--runs", type=number(int, 1), default=1000, metavar="N", help="comparisons per cell (default: 1000)"
    )
    covering.add_argument("--seed", type=number(int, 0), default=0, metavar="N", help="of the simulation (default: 0)")
    covering.set_defaults(run=lambda given: print(coverage.table(given.runs, given.seed)))
    checking = commands.add_parser("selfcheck", help="the verdict's operating curve on a corpus")
    add = checking.add_argument
    add_options(add)
    add(
        "--perturbations", type=number(int, 2), default=200, metavar="N", help="to hear each model under (default: 200)"
    )
    add(
        "--damage",
        type=number(float, 0),
        nargs="+",
        default=DAMAGE,
        metavar="X",
        help=f"noise in weights (default: {DAMAGE})",
    )
    add("--replays", type=number(int, 1), default=400, metavar="N", help="replayed runs per row (default: 400)")
    add(
        "--judged", type=number(int, 1), metavar="N", help="comparisons that share the error (default: a default run's)"
    )
    add("--json", type=Path, metavar="FILE", help="write what was heard; with fewer perturbations if interrupted")
    add("--from", dest="source", type=Path, metavar="FILE", help="hear nothing: replay what --json wrote")
    checking.set_defaults(run=check)
    given = parser.parse_args(arguments)
    warnings.simplefilter("ignore")  # of the libraries' own dependencies
    return command("bench.accuracy", lambda: given.run(given))


def check(given: argparse.Namespace) -> None:
    """Hear (or read), replay, and print the table."""
    if given.json is not None:
        check_writable(given.json, "--json")  # before hours of hearing
    saved = read(given.source) if given.source else hear(given)
    if given.json is not None and not given.source:
        write_atomically(given.json, json.dumps(saved))
    heard = {
        name: [Accuracy(tuple(as_score(file) for file in files)) for files in replicas]
        for name, replicas in saved["heard"].items()
    }
    if any(replicas[0].der is None for replicas in heard.values()):
        raise UserError("selfcheck: no speech with a reference, so nothing is judged")
    candidates = [v for v in variants.select(None) if v.name not in ("baseline", "baseline-twin")]
    judged = given.judged or len(candidates)
    rows = selfcheck.replays(heard, saved["voices"], judged, given.replays, np.random.default_rng(given.seed))
    count = min(map(len, heard.values()))
    print(f"{count} perturbations of {', '.join(saved['voices'])}; {judged} comparisons share the error of a run.\n")
    print(selfcheck.table(list(rows)))


def hear(given: argparse.Namespace) -> dict[str, Any]:
    """Every model on the corpus, perturbation by perturbation; as many as there were when Ctrl-C came."""
    names = ["baseline"]
    for scale in given.damage:
        names.append(f"noise-{scale:g}")
        entry = variants.Variant(names[-1], title=f"noise of {scale:g} in the weights", tolerance=0.0, default=False)
        entry(lambda model, scale=scale: noisy(model, scale))
    run = Run(parse(lambda name: getattr(given, name)), names, Path(".pytest_cache/d/diartbench"), lambda *_: None)
    run.prepare(timed=False)
    heard: dict[str, list[Accuracy]] = {name: [] for name in names}
    with Progress(console=Console(stderr=True), transient=True) as bar, run.scores.working():
        task = bar.add_task("hearing", total=given.perturbations)
        try:
            for perturbation in range(given.perturbations):
                for name, found in run.scores.scorer.accuracy(names, perturbation).items():
                    heard[name].append(found)
                bar.advance(task)
        except KeyboardInterrupt:
            print("bench.accuracy: interrupted; goes on with what was heard", file=sys.stderr)
    count = min(map(len, heard.values()))
    if count < 2:
        raise UserError("selfcheck: takes two perturbations at least")
    plain = {name: [[asdict(file) for file in one.files] for one in found[:count]] for name, found in heard.items()}
    return {"heard": plain, "voices": run.scores.voices}


def read(path: Path) -> Mapping[str, Any]:
    """What --json wrote; UserError for anything else."""
    try:
        saved: dict[str, Any] = json.loads(path.read_bytes())
        for replicas in saved["heard"].values():
            for files in replicas:
                for file in files:
                    as_score(file)
        _ = saved["heard"]["baseline"], {name: list(of) for name, of in saved["voices"].items()}
    except OSError as error:
        raise UserError(f"--from {path}: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"--from {path}: not what --json wrote ({type(error).__name__}: {error})") from None
    return saved


if __name__ == "__main__":
    utf8_output()
    sys.exit(main())
