"""`python -m bench.studies ablation`: which of ONNX's choices costs or gains what, and on which stage it lands.

A cell is a graph (exporter, shared trunk, folding, Conv2d lowering) in a session (threads, spinning). All cells run
interleaved with the baseline and its twin, first on `--threads` threads, then on all cores; one Markdown table each.
"""

import argparse
import itertools
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import variants
from bench.latency import machine, threads
from bench.latency.interleave import Measurement, Rounds, interleave
from bench.latency.results import TWIN
from bench.latency.subjects import Pipeline
from bench.report.format import show_interval
from bench.run.options import add_options, parse
from bench.run.run import Run
from bench.statistics import Paired, paired_ratio
from variants.commands import command
from variants.exact.row_graph import row_graph
from variants.runtime.onnx import export, session


@dataclass(frozen=True)
class Cell:
    """One combination; the fields are the factors, all False what DIART and the paper do. As text: its columns."""

    dynamo: bool = False
    shared: bool = False
    folded: bool = False
    lowered: bool = False
    pinned: bool = False
    still: bool = False

    def __str__(self) -> str:
        graph = [name for name in ("shared", "folded", "lowered") if getattr(self, name)]
        exporter, count = "dynamo" if self.dynamo else "traced", "pinned" if self.pinned else "default"
        return " | ".join([exporter, " + ".join(graph) or "stock", count, "no" if self.still else "yes"])


SESSIONS = [{"pinned": pinned, "still": still} for pinned in (False, True) for still in (False, True)]
QUIET = {"pinned": True, "still": True}
# Sessions on the stock graph; then each idea on its own and on top of the others in a pinned, still session; then the
# best graph in the worst session, to see whether it still harms its neighbour.
CELLS = [
    *(Cell(**chosen) for chosen in SESSIONS),
    Cell(dynamo=True),
    Cell(dynamo=True, **QUIET),
    Cell(shared=True, **QUIET),
    Cell(folded=True, **QUIET),
    Cell(lowered=True, **QUIET),
    Cell(shared=True, folded=True, **QUIET),
    Cell(shared=True, folded=True, lowered=True, **QUIET),
    Cell(folded=True, lowered=True, **QUIET),
    Cell(
        dynamo=True, folded=True, lowered=True, **QUIET
    ),  # the dynamo exporter cannot share the trunk, see docs/onnx.md
    Cell(shared=True, folded=True, lowered=True),
]
ALL_CELLS = [Cell(*chosen) for chosen in itertools.product((False, True), repeat=6)]


def network(cell: Cell, root: nn.Module) -> nn.Module:
    """What a cell exports. The stock graph is the model itself; all others pool by products, as `onnx-tuned` does."""
    if not (cell.shared or cell.folded or cell.lowered):
        return variants.build("baseline", root)
    model = variants.build("folded" if cell.folded else "baseline", root)
    return row_graph(model, shared=cell.shared, lower=cell.lowered)


class Graphs:
    """ONNX files in `folder`, each made once; those that cannot be made are told apart by their reason."""

    def __init__(self, root: nn.Module, folder: Path) -> None:
        self.root, self.folder = root, folder
        self.made: dict[Cell, Path | str] = {}

    def path(self, cell: Cell) -> Path | str:
        """The file of a cell's graph, or why there is none."""
        graph = Cell(cell.dynamo, cell.shared, cell.folded, cell.lowered)
        if graph not in self.made:
            try:
                file = self.folder / f"{len(self.made)}.onnx"
                self.made[graph] = export(network(graph, self.root), file, dynamo=graph.dynamo)
            except Exception as error:  # whatever an exporter raises
                self.made[graph] = f"{type(error).__name__}: {_first_sentence(error)}"
        return self.made[graph]


def _first_sentence(error: Exception) -> str:
    """What an exporter says without colours and advice."""
    plain = re.sub(r"\x1b\[\d*m", "", str(error)).strip() or "no reason given"
    return plain.splitlines()[0].split(". ")[0]


def in_diart(path: Path, cell: Cell) -> Any:
    """The file in DIART, in the cell's session; DIART's own where that is what the cell asks for."""
    from diart.models import EmbeddingModel

    embedding = EmbeddingModel.from_onnx(path)
    embedding.load()
    if cell.pinned or cell.still:
        embedding.model.session = session(path, None if cell.pinned else 0, spinning=not cell.still)
    return embedding


def table(names: Iterable[str], measurement: Measurement) -> list[str]:
    """Markdown: each row's medians in ms, by stage, and its ratios to the baseline, in percent with interval."""
    head = ["exporter", "graph", "threads", "spinning", "segmentation ms", "embedding ms", "rest ms"]
    head += ["segmentation %", "embedding %", "pipeline %"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * 4 + "---:|" * 6]
    baseline = measurement.rounds["baseline"]
    for name in names:
        shown = name if " | " in name else f"torch | {name} | pinned | -"
        if name in measurement.failures:
            lines.append(f"| {shown} | failed: {measurement.failures[name]} |" + " |" * 5)
            continue
        rounds = measurement.rounds[name]
        medians = [
            f"{1000 * float(np.median(stage(rounds, key))):.1f}" for key in ("segmentation", "embedding", "rest")
        ]
        ratios = ["-"] * 3
        if name != "baseline":
            pairs = [(stage(rounds, key), stage(baseline, key)) for key in ("segmentation", "embedding")]
            pairs.append((rounds.seconds, baseline.seconds))
            ratios = [show_interval(paired_ratio(Paired(mine, theirs, rounds.blocks))) for mine, theirs in pairs]
        lines.append("| " + " | ".join([shown, *medians, *ratios]) + " |")
    return lines


def stage(rounds: Rounds, key: str) -> list[float]:
    """Seconds of one stage in each round."""
    return [spent[key] for spent in rounds.stages]


def ablate(run: Run, cells: Iterable[Cell], graphs: Graphs, where: threads.Threads) -> tuple[list[str], Measurement]:
    """Measure all cells on `where`; the lines of the table, and what it was made from."""
    threads.apply(where)
    settings, segmentation = run.options.pipeline, run.models.segmentation
    subjects: dict[str, Any] = {
        name: Pipeline(variants.as_embedding_model(run.models[name]), segmentation, settings)
        for name in ("baseline", TWIN)
    }
    skipped = []
    for cell in cells:
        path = graphs.path(cell)
        if isinstance(path, str):
            skipped.append(f"Skipped: {cell} ({path})")
        else:
            subjects[str(cell)] = Pipeline(in_diart(path, cell), segmentation, settings)
    threads.apply(where)  # to the threads that building started, too
    measurement = interleave(
        subjects, run.corpus.streams, budget=run.options.timing.budget, seed=run.options.timing.seed
    )
    return [*table(subjects, measurement), "", *skipped], measurement


def main(arguments: list[str] | None = None) -> int:
    """Run the ablation; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.studies ablation", description=__doc__)
    parser.add_argument("--full", action="store_true", help="all 64 combinations (raise --budget to match)")
    add_options(parser.add_argument)
    parser.set_defaults(accuracy="off", budget=150.0)
    given = parser.parse_args(arguments)
    return command("bench.studies ablation", lambda: study(given))


def study(given: argparse.Namespace) -> None:
    """Measure and print the table for each number of threads."""
    counts = [threads.choose(given.threads)]
    cores = len(threads.physical_cores(threads.allowed_cpus())) or torch.get_num_threads()
    counts += [threads.choose(cores)] if cores != given.threads else []
    options = parse(lambda name: getattr(given, name))
    run = Run(options, ["baseline", TWIN], Path(".pytest_cache/d/diartbench"), lambda *_: None)
    run.prepare(timed=True)
    _ = run.corpus.streams
    with tempfile.TemporaryDirectory(prefix="diartbench-") as folder:
        graphs = Graphs(run.models.root, Path(folder))
        for where in counts:
            lines, measurement = ablate(run, ALL_CELLS if given.full else CELLS, graphs, where)
            rounds = len(measurement.rounds["baseline"].seconds)
            print(f"\n{machine.describe()['cpu']}, {where}, {rounds} rounds of each row:\n")
            print("\n".join(lines), flush=True)
