"""`python -m bench.studies sensitivity`: what int8 does to the embedding or the segmentation, one layer at a time."""

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from torch import nn

import variants
from bench.accuracy.der import lowest_cosine
from bench.report.format import number
from variants import UserError
from variants.arrays import Floats
from variants.commands import command
from variants.compressed.calibration import calibration
from variants.compressed.int8_static import Feeds, chunk_feeds, quantisable, quantise, row_feeds, sensitive
from variants.exact.cached import CachedFront
from variants.exact.row_graph import row_graph
from variants.loading import load
from variants.runtime.onnx import export, session


def main(arguments: list[str] | None = None) -> int:
    """Print the table in markdown; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.studies sensitivity", description=__doc__)
    parser.add_argument("--model", choices=variants.MODELS, default="embedding", help="which to take apart")
    for kind in variants.MODELS:
        parser.add_argument(f"--{kind}", default="bundled", metavar="MODEL", help="as `pytest bench` takes it")
    parser.add_argument("--variant", default="shared-folded", metavar="NAME", help="what is quantised of the embedding")
    given = parser.parse_args(arguments)
    return command("bench.studies sensitivity", lambda: study(given))


def study(given: argparse.Namespace) -> None:
    """Print the table of the model that was chosen."""
    with tempfile.TemporaryDirectory(prefix="diartbench-") as folder:
        path = Path(folder) / "float.onnx"
        if given.model == "segmentation":
            graph = variants.build("segmentation-onnx", load("segmentation", given.segmentation))
            path.write_bytes(bytes(graph.get_buffer("file").numpy()))
            print(table(path, *chunk_feeds(), SCORES))
        else:
            print(table(export(row_graph(_network(given)), path), *row_feeds(calibration()), COSINES))


def _network(given: argparse.Namespace) -> nn.Module:
    model = variants.build(variants.get(given.variant, "embedding").name, load("embedding", given.embedding))
    if not isinstance(model, nn.Module) or any(isinstance(part, CachedFront) for part in model.modules()):
        raise UserError(f"--variant {given.variant}: is no network in torch by itself, such as shared-folded")
    return model


def mean_cosine(found: Floats, reference: Floats) -> float:
    """Of all embeddings to those of the float model."""
    lengths = np.linalg.norm(found, axis=-1) * np.linalg.norm(reference, axis=-1)
    return float(np.mean(np.sum(found * reference, -1) / lengths))


# What is told of the outputs (of int8, of float), by column.
Effects = Mapping[str, Callable[[Floats, Floats], float | None]]
COSINES: Effects = {"mean cosine": mean_cosine, "lowest cosine": lowest_cosine}
SCORES: Effects = {
    "mean difference": lambda found, reference: float(np.abs(found - reference).mean()),
    "largest difference": lambda found, reference: float(np.abs(found - reference).max()),
    "across 0.5, %": lambda found, reference: 100 * float(((found > 0.5) != (reference > 0.5)).mean()),
}


def table(path: Path, feeds: Feeds, notes: Mapping[str, str], effects: Effects) -> str:
    """The effects on the outputs of an ONNX file with each layer alone in int8, and with several."""
    every = quantisable(path)
    left = sensitive(path)
    sets = {name: [name] for name in every}
    sets |= {"all": every, f"all but {', '.join(sorted(left))}": [name for name in every if name not in left]}
    reference = outputs(path, feeds)
    lines = [f"| in int8 | {' | '.join(effects)} |", "|---|" + "---:|" * len(effects)]
    for label, nodes in track(list(sets.items()), console=Console(stderr=True), transient=True):
        found = outputs(quantise(path, feeds, notes, nodes), feeds)
        lines.append(
            f"| {label} | " + " | ".join(number(effect(found, reference), 5) for effect in effects.values()) + " |"
        )
    return "\n".join(lines)


def outputs(path: Path, feeds: Feeds) -> Floats:
    """(chunks, rows, ...) of all feeds."""
    model = session(path)
    return np.stack([model.run(None, dict(feed))[0] for feed in feeds])
