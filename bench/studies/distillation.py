"""`python -m bench.studies distillation`: ways of teaching the student by their DER.

Its tables have the shape of the paper's Tables I and II.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path
from typing import Any

from torch import nn

import variants
from bench.accuracy.der import Accuracy, score_output
from bench.pipeline.diarize import Output, diarize, embed
from bench.report.paper import FACTORS, VALIDATION
from bench.run.options import Options, add_options, parse
from bench.run.run import Run
from variants import UserError
from variants.commands import command, number
from variants.compressed.channel_pruned import is_pruned, load_pruned
from variants.exact.shared_trunk import share
from variants.files import check_writable
from variants.paper.distilled import load_student
from variants.speech.data import read_speech

RANDOM = ["--start", "scratch", "--lr", "1e-3"]
PLAIN = ["--pooling", "plain"]
PAPER = [*RANDOM, *PLAIN, "--lambda"]
WAYS = {  # from the paper's way to the recipe's default, one change at a time
    "embeddings only, from random weights": [*RANDOM, *PLAIN],
    "from the teacher's layers, fitted, not trained": ["--steps", "0"],
    "from the teacher's layers": ["--frames", "0", *PLAIN],
    "from the teacher's layers, weighted pooling": ["--frames", "0"],
    "from the teacher's layers, weighted pooling, frames matched too": [],
}


def main(arguments: list[str] | None = None) -> int:
    """Train what is not yet trained, score it, print the tables; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.studies distillation", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", type=Path, metavar="DIR", help="single-speaker speech, by speaker, to train on")
    what.add_argument("--students", type=Path, nargs="+", metavar="FILE", help="only compare these, train nothing")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/study"), metavar="DIR", help="of all runs (default %(default)s)"
    )
    parser.add_argument("--cache", type=Path, metavar="DIR", help="for stored features (default: --out)")
    parser.add_argument(
        "--steps", type=number(int, 1), default=200, help="optimiser steps of each run (default %(default)s)"
    )
    parser.add_argument(
        "--batch-seconds", type=number(float, 1), default=60, help="of crops per batch (default %(default)s)"
    )
    parser.add_argument(
        "--copies", type=number(int, 0), default=5, help="augmented copies to store (default %(default)s)"
    )
    parser.add_argument("--full", action="store_true", help="the paper's lengths: 50 epochs, 140 for the validation")
    parser.add_argument("--factors", type=float, nargs="+", default=list(FACTORS), help="the lambdas to try")
    parser.add_argument("--report", nargs="*", default=["embedded-test"], metavar="DIR", help="corpora to report on")
    add_options(parser.add_argument)
    parser.set_defaults(accuracy="full", corpus=Path("embedded-dev"))
    given = parser.parse_args(arguments)
    return command("bench.studies distillation", lambda: study(given))


def study(given: argparse.Namespace) -> None:
    """Choose on `given.corpus`, report on `given.report`; or only compare the students given."""
    # what is wrong with the data is said before any model runs
    check_studied(given, given.data)
    for path in given.students or ():
        if not path.is_file():
            raise UserError(f"--students {path}: no such file")
    epoch = 0 if given.students else math.ceil(_seconds(given.data) / given.batch_seconds)
    on_dev = Scorer(given, given.corpus)
    if given.students:
        students = {str(path): path for path in given.students}
    else:
        sweep, validation = (50 * epoch, 140 * epoch) if given.full else (given.steps, given.steps)
        best = _sweep(given, on_dev, sweep)
        name, checkpoint = _checkpoints(given, on_dev, best, validation)
        students = {f"the paper's, lambda = {best:g}, {name}": checkpoint}
        students |= {name: _train(given, way, sweep) / "student.safetensors" for name, way in WAYS.items()}
    for corpus in (given.corpus, *map(Path, given.report)):
        scorer = on_dev if corpus == given.corpus else Scorer(given, corpus)
        print(f"\nStudents on {corpus}, where the teacher's DER is {scorer.der:.2f}\n")
        scores = {name: scorer(path) for name, path in students.items()}
        markdown_table(
            ["student", "DER", "over the teacher", "lowest cosine", "disagreement"],
            [(name, s.der, (s.der or 0.0) - scorer.der, s.cosine, s.disagreement) for name, s in scores.items()],
        )


def _sweep(given: argparse.Namespace, scorer: Scorer, steps: int) -> float:
    """Table I: the paper's way with each lambda; returns the best of them."""
    runs = {factor: _train(given, [*PAPER, f"{factor:g}"], steps) for factor in given.factors}
    scores = {factor: scorer(folder / "last.ckpt") for factor, folder in runs.items()}
    print(f"\nTable I: {steps} steps, then DER on {given.corpus}\n")
    markdown_table(
        ["lambda", "DER", "lowest cosine", "paper's DER"],
        [(f"{factor:g}", s.der, s.cosine, FACTORS.get(factor)) for factor, s in scores.items()],
    )
    best: float = min(scores, key=lambda factor: scores[factor].der or 0.0)
    return best


def _checkpoints(given: argparse.Namespace, scorer: Scorer, factor: float, steps: int) -> tuple[str, Path]:
    """Table II: every checkpoint with one lambda; returns the best, by name."""
    folder = _train(given, [*PAPER, f"{factor:g}"], steps)
    found = {path.stem: path for path in sorted(folder.glob("step=*.ckpt"), key=lambda path: int(path.stem[5:]))}
    scores = {name: scorer(path) for name, path in found.items()}
    print(f"\nTable II: checkpoints with lambda = {factor:g}, DER on {given.corpus}; the paper's with lambda = 1000\n")
    rows = [(name, s.der, s.cosine) for name, s in scores.items()]
    theirs = [f"epoch {number}: {der:g}" for number, der in VALIDATION.items()]
    markdown_table(
        ["checkpoint", "DER", "lowest cosine", "paper"],
        [(*(row or ("", None, None)), paper) for row, paper in zip_longest(rows, theirs)],
    )
    name = min(scores, key=lambda name: scores[name].der or 0.0)
    return name, found[name]


def _seconds(folder: Path) -> float:
    import soundfile

    return sum(float(soundfile.info(clip.path).duration) for clips in read_speech(folder).values() for clip in clips)


def _train(given: argparse.Namespace, way: list[str], steps: int) -> Path:
    """The folder of one run, trained (or its training finished) if its student is not there yet."""
    from variants.training.__main__ import main as train

    out: Path = given.out / f"{steps}{''.join(way)}"
    if not (out / "student.safetensors").exists():
        options = ["--data", given.data, "--out", out, "--cache", given.cache or given.out, "--copies", given.copies]
        options += ["--teacher", given.embedding, "--steps", steps, "--epoch-steps", max(steps // 4, 1), "--keep"]
        options += ["--batch-seconds", given.batch_seconds, "--threads", given.threads, "--workers", 0]
        options += ["--average", max(0.9, 1 - 10 / steps)]  # over a tenth of the run or less
        options += ["--resume"] if (out / "last.ckpt").exists() else []
        if train(["distill", *map(str, options), *way]):
            raise UserError(f"{out}: this run failed")
    return out


def check_studied(given: argparse.Namespace, data: Path | None) -> None:
    """UserError, before any model runs, for corpora that cannot be scored and for results that could not be kept."""
    for corpus in (given.corpus, *map(Path, given.report)):
        run = Run(_options(given, corpus), [], Path(), lambda *_: None)
        if why := run.scores.unjudged or (None if run.scores.wanted else "--accuracy off leaves nothing to compare"):
            raise UserError(f"{corpus}: {why}")
    if data is not None:
        check_writable(given.out / "x", "--out")
        read_speech(data)


def _options(given: argparse.Namespace, corpus: Path) -> Options:
    """What the command line says, for one of its corpora."""
    values = vars(given) | {"corpus": corpus, "files": given.files if corpus == given.corpus else None}
    return parse(values.__getitem__)


class Scorer:
    """Scores students on one corpus, which it cuts and segments once, and its teacher diarizes once."""

    def __init__(self, given: argparse.Namespace, corpus: Path) -> None:
        self.run = Run(_options(given, corpus), [], Path(), lambda *_: None)
        self.files = self.run.corpus.segmented(self.run.scores.parts)
        self.teacher = self._outputs(variants.build("baseline", self.run.models.root))
        self.der = self._accuracy(self.teacher).der or 0.0

    def __call__(self, path: Path) -> Accuracy:
        """Accuracy of the student or pruned model in a file; UserError for another teacher's."""
        from variants.training import weights

        with tempfile.TemporaryDirectory() as folder:
            if path.suffix != ".safetensors":
                exported = Path(folder) / "student.safetensors"
                weights.export(weights.load_network(path), exported, weights.taught_by(path))
                path = exported
            baseline = variants.build("baseline", self.run.models.root)
            student = load_pruned(baseline, path) if is_pruned(path) else load_student(baseline, path)
        if student is None:
            raise UserError(f"{path}: not a student of this teacher")
        return self.model(student)

    def model(self, model: nn.Module) -> Accuracy:
        """Accuracy of a model that has a trunk to share."""
        return self._accuracy(self._outputs(model))

    def _outputs(self, model: Any) -> list[Output]:
        """Through the shared trunk, which changes no embedding and takes a third of the time."""
        embedding, segmentation = variants.as_embedding_model(share(model.eval())), self.run.models.segmentation
        settings = self.run.options.pipeline
        return [diarize(file, embed(file, embedding), settings, segmentation, embedding) for file in self.files]

    def _accuracy(self, outputs: list[Output]) -> Accuracy:
        options, triples = self.run.options.scoring, zip(self.files, outputs, self.teacher, strict=True)
        return Accuracy(
            tuple(score_output(file, own, base, options.collar, options.skip_overlap) for file, own, base in triples)
        )


def markdown_table(head: list[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """A Markdown table, numbers to two decimals (cosines to three)."""
    print(f"| {' | '.join(head)} |\n|{'---|' + '---:|' * (len(head) - 1)}")
    for row in rows:
        cells = [
            cell if isinstance(cell, str) else "" if cell is None else f"{cell:.{3 if 'cosine' in title else 2}f}"
            for title, cell in zip(head, row, strict=True)
        ]
        print(f"| {' | '.join(cells)} |", flush=True)
