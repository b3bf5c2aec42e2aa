"""`python -m bench advise`: what to run, from measurements on this machine and this corpus."""

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
from rich.text import Text

from bench.report.figures.style import STYLE
from bench.report.fitted import as_text, terminal_width
from bench.report.page import check_folder
from bench.report.terminal import caption
from bench.run.run import Run
from variants import UserError
from variants.commands import number
from variants.files import write_atomically

from .measure import confirm, scores, services
from .show import Advice, as_json, sentence, sweep_table, table
from .sweep import figure, sweep

VARIANTS = "baseline,onnx-tuned,best-exact,best"  # what is weighed up unless others are named


def add_advice_options(parser: argparse.ArgumentParser) -> None:
    """Those of this command alone."""
    parser.add_argument(
        "--streams", type=number(int, 1), default=1, metavar="N", help="live streams that one core is to carry"
    )
    parser.add_argument(
        "--sweep", type=number(float, 0), default=120.0, metavar="S",
        help="seconds for DER by step and latency (default: 120; 0: none)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="DIR", help="write advice.json, advice.txt and advice.svg there")


def advise(run: Run, given: argparse.Namespace) -> None:
    """Measure, print, and write what was asked for. run: prepared, its threads claimed."""
    if given.out is not None:
        check_folder(given.out)
    if run.models.oracle:
        raise UserError("--segmentation oracle: live streams have no reference; choose a model")
    names = [name for name in dict.fromkeys(["baseline", *given.variants.split(",")]) if name in run.models]
    asked = int(given.streams)
    _say(f"{len(names)} variants: service times at every step, about {given.budget:g} s")
    found = services(run, names, asked, given.budget, lambda done: None)
    advice = Advice(found, {}, run.models.trained, run.options.pipeline.latency, asked)
    if run.scores.unjudged is None and run.scores.wanted and advice.shortest:
        _say(f"DER at their shortest steps, up to about {run.options.scoring.budget:g} s")
        steps = {name: service.step for name, service in advice.shortest.items()}
        advice = replace(advice, scores=scores(run, steps, lambda done: None))
    name = advice.chosen
    if name is not None:
        service = advice.shortest[name]
        _say(f"real streams of {name} at a step of {service.step:g} s, about {given.budget:g} s")
        advice = replace(advice, confirmed=confirm(run, name, service, given.budget))
        if given.sweep and run.scores.unjudged is None and run.scores.wanted:
            _say(f"DER of {name} by step and latency, up to about {given.sweep:g} s")
            end = time.monotonic() + given.sweep
            cells = sweep(run, name, service.step, lambda: end - time.monotonic(), lambda done: None)
            advice = replace(advice, sweep=cells)
    parts: list[Any] = [table(advice), *([sweep_table(advice)] if advice.sweep else []), Text(caption(run.findings()))]
    parts += [Text(f"{name}: {why}") for name, why in {**run.models.skipped, **run.models.broken}.items()]
    parts.append(Text(f"\n{sentence(advice)}", style="bold"))
    print(as_text(parts, terminal_width(sys.stdout.isatty())), end="")
    if given.out is not None:
        _write(advice, as_text(parts, 200), given.out)


def _write(advice: Advice, text: str, folder: Path) -> None:
    write_atomically(folder / "advice.json", json.dumps(as_json(advice), indent=1) + "\n")
    write_atomically(folder / "advice.txt", text)
    if advice.sweep and advice.chosen is not None:
        chosen = advice.shortest[advice.chosen].step, advice.latency
        with matplotlib.rc_context(STYLE):
            figure(advice.chosen, advice.sweep, chosen).savefig(folder / "advice.svg", metadata={"Date": None})
    print(f"advice: {folder}")


def _say(line: str) -> None:
    """Progress goes where it is not mixed up with the answer."""
    print(line, file=sys.stderr, flush=True)
