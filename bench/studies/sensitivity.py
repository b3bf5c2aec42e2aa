"""`python -m bench.studies sensitivity`: what int8 does to either model, layer by layer and speech by speech."""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from torch import nn

import variants
from bench.accuracy.der import LOW, row_cosines
from bench.latency.floor import graph_operations
from bench.report.format import number
from variants import UserError
from variants.arrays import Floats
from variants.commands import command, place
from variants.compressed.calibration import calibration
from variants.compressed.equalised import equalise
from variants.compressed.int8_static import Feeds, chunk_feeds, quantisable, quantise, row_feeds, sensitive
from variants.exact.cached import CachedFront
from variants.exact.row_graph import row_graph
from variants.loading import default_segmentation, load
from variants.runtime.onnx import export, session

from .speech import SPEAKS, Bools, Speech, spoken

LEFT, TIMED = 4, 40  # layers left in float one after another; chunks of which the fastest counts
LEAST = 0.05  # milliseconds: less is none
Measure = Callable[[Floats, Floats, Bools], float]  # of outputs in int8 and in float, in some (chunks, speakers)


def main(arguments: list[str] | None = None) -> int:
    """Print the tables in markdown; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.studies sensitivity", description=__doc__)
    parser.add_argument("--model", choices=variants.MODELS, default="embedding", help="which to take apart")
    for kind, default in (("embedding", "bundled"), ("segmentation", default_segmentation())):
        parser.add_argument(f"--{kind}", default=default, metavar="MODEL", help="as `pytest bench` takes it")
    parser.add_argument("--variant", default="shared-folded", metavar="NAME", help="what is quantised of the embedding")
    parser.add_argument("--corpus", type=place, nargs="+", default=[], metavar="DIR", help="more speech")
    given = parser.parse_args(arguments)
    return command("bench.studies sensitivity", lambda: study(given))


def study(given: argparse.Namespace) -> None:
    """Print the tables of the model that was chosen."""
    with tempfile.TemporaryDirectory(prefix="diartbench-") as folder:
        path, network = Path(folder) / "float.onnx", None
        if given.model == "embedding":
            network = _network(given)
        root = load("segmentation", given.segmentation)
        speech = spoken(variants.as_segmentation_model(root), given.corpus)
        if network is None:
            path.write_bytes(bytes(variants.build("segmentation-onnx", root).get_buffer("file").numpy()))
            heard = {name: Heard(path, found, found.chunks, across) for name, found in speech.items()}
            feeds, notes = chunk_feeds()
        else:
            export(row_graph(equalise(network)), path)
            heard = {name: Heard(path, found, found.rows, low_cosine) for name, found in speech.items()}
            feeds, notes = row_feeds(calibration())
        for line in tables(path, heard, lambda nodes: quantise(path, feeds, notes, nodes)):
            print(line)


def _network(given: argparse.Namespace) -> nn.Module:
    model = variants.build(variants.get(given.variant, "embedding").name, load("embedding", given.embedding))
    if not isinstance(model, nn.Module) or any(isinstance(part, CachedFront) for part in model.modules()):
        raise UserError(f"--variant {given.variant}: is no network in torch by itself, such as shared-folded")
    return model


def low_cosine(found: Floats, reference: Floats, rows: Bools) -> float:
    """Of embeddings (chunks, speakers, dim): what 5 % of the cosines in these rows are below; NaN without any."""
    cosines = row_cosines(found, reference)
    assert cosines is not None
    return float(np.quantile(cosines[rows], LOW)) if rows.any() else np.nan


def across(found: Floats, reference: Floats, rows: Bools) -> float:
    """Of scores (chunks, 1, frames, speakers): how many, in %, are on the other side of 0.5; NaN without any."""
    moved = ((found > SPEAKS) != (reference > SPEAKS))[:, 0].swapaxes(1, 2)[rows]
    return 100 * float(moved.mean()) if moved.size else np.nan


class Heard:
    """One kind of speech as a graph hears it in float, and what others make of it."""

    def __init__(self, path: Path, speech: Speech, feeds: Feeds, measure: Measure) -> None:
        self.feeds, self.measure, self.reference = feeds, measure, outputs(path, feeds)
        self.best = measure(self.reference, self.reference, speech.speaking)
        said = speech.speaking if measure is low_cosine else np.ones_like(speech.speaking)
        self.parts = {name: part & said for name, part in speech.parts.items()}

    def __call__(self, path: Path) -> list[float]:
        """The measure of the graph in `path` by part of the speech."""
        found = outputs(path, self.feeds)
        return [self.measure(found, self.reference, part) for part in self.parts.values()]


def tables(path: Path, heard: Mapping[str, Heard], quantised: Callable[[Sequence[str]], Path]) -> Iterator[str]:
    """Lines of two: sets of layers in int8 by kind of speech; then by part of the speech for those that are chosen.

    quantised: the graph with some nodes in int8. `LEFT` layers stay in float one after another, in the order of what
    each alone costs the first kind of speech for every millisecond that it saves.
    """
    every, left = quantisable(path), sensitive(path)
    first, *_ = heard.values()
    price: dict[str, float] = {}  # of a millisecond

    def line(label: str, nodes: Sequence[str]) -> str:
        made = quantised(nodes)
        found = [kind(made)[0] for kind in heard.values()]
        saved = 1000 * (quickest(path, first.feeds) - quickest(made, first.feeds))
        price[label] = abs(found[0] - first.best) / max(saved, LEAST)
        return row(label, number(int8_share(made, first.feeds[0]), 1), number(saved), *(number(x, 4) for x in found))

    yield from head("in int8", "operations, %", "saves, ms", *heard)
    for name in track(every, console=Console(stderr=True), transient=True):
        yield line(name, [name])
    yield line("all", every)
    worst = sorted(every, key=lambda name: -price[name])
    for count in range(1, LEFT + 1):
        if rest := [name for name in every if name not in worst[:count]]:
            yield line(f"all but {', '.join(worst[:count])}", rest)
    chosen = [name for name in every if name not in left]
    yield line(f"chosen: all but {', '.join(sorted(left))}", chosen)
    yield ""
    yield from head("chosen, in", *heard)
    by_part = [kind(quantised(chosen)) for kind in heard.values()]
    for part, values in zip(first.parts, zip(*by_part, strict=True), strict=True):
        yield row(part, *(number(None if np.isnan(x) else x, 4) for x in values))


def head(label: str, *columns: str) -> list[str]:
    """The first lines of a table."""
    return [row(label, *columns), "|---|" + "---:|" * len(columns)]


def row(*cells: str) -> str:
    """A line of one."""
    return f"| {' | '.join(cells)} |"


def int8_share(path: Path, feed: Mapping[str, Floats]) -> float | None:
    """Of all operations on these inputs those in int8, in %; None where they cannot be counted."""
    counted = graph_operations(path.read_bytes(), feed)
    return None if counted is None else 100 * counted.int8 / sum(counted)


def quickest(path: Path, feeds: Feeds) -> float:
    """The least processor time that one of `TIMED` takes, in seconds."""
    model, taken = session(path), []
    for feed in feeds[:TIMED]:
        begin = time.process_time()
        model.run(None, dict(feed))
        taken.append(time.process_time() - begin)
    return min(taken)


def outputs(path: Path, feeds: Feeds) -> Floats:
    """(chunks, rows, ...) of all feeds."""
    model = session(path)
    return np.stack([model.run(None, dict(feed))[0] for feed in feeds])
