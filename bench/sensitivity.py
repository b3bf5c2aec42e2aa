"""`python -m bench.sensitivity`: what int8 does to the embedding, one layer at a time."""

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from torch import nn

import variants
from variants import UserError
from variants.cached import CachedFront
from variants.int8_static import Feeds, quantisable, quantise, row_feeds, sensitive
from variants.loading import load
from variants.onnx import export, session
from variants.row_graph import row_graph

from .accuracy import lowest_cosine


def main(arguments: list[str] | None = None) -> int:
    """Print the table in markdown; 0 if all went well, 1 after one line on stderr that says what did not."""
    parser = argparse.ArgumentParser(prog="python -m bench.sensitivity", description=__doc__)
    parser.add_argument("--embedding", default="bundled", metavar="MODEL", help="as `pytest bench` takes it")
    parser.add_argument("--variant", default="shared-folded", metavar="NAME", help="what is quantised")
    given = parser.parse_args(arguments)
    warnings.simplefilter("ignore")  # of the libraries' own dependencies
    try:
        model = variants.build(variants.get(given.variant, "embedding").name, load("embedding", given.embedding))
        if not isinstance(model, nn.Module) or any(isinstance(part, CachedFront) for part in model.modules()):
            raise UserError(f"--variant {given.variant}: is no network in torch by itself, such as shared-folded")
        with tempfile.TemporaryDirectory(prefix="diartbench-") as folder:
            print(table(export(row_graph(model), Path(folder) / "float.onnx")))
    except UserError as error:
        print(f"bench.sensitivity: {error}", file=sys.stderr)
        return 1
    return 0


def table(path: Path) -> str:
    """Mean and lowest cosine of the embeddings with each layer of an ONNX file alone in int8, and with several."""
    feeds, notes = row_feeds()
    every = quantisable(path)
    left = sensitive(path)
    sets = {name: [name] for name in every}
    sets |= {"all": every, f"all but {', '.join(sorted(left))}": [name for name in every if name not in left]}
    reference = embeddings(path, feeds)
    lines = ["| in int8 | mean cosine | lowest cosine |", "|---|---:|---:|"]
    for label, nodes in track(list(sets.items()), console=Console(stderr=True), transient=True):
        found = embeddings(quantise(path, feeds, notes, nodes), feeds)
        mean = np.mean(
            np.sum(found * reference, -1) / np.linalg.norm(found, axis=-1) / np.linalg.norm(reference, axis=-1)
        )
        lines.append(f"| {label} | {mean:.5f} | {lowest_cosine(found, reference):.5f} |")
    return "\n".join(lines)


def embeddings(path: Path, feeds: Feeds) -> np.ndarray:
    """(chunks, rows, dimension) of all feeds."""
    model = session(path)
    return np.stack([model.run(None, dict(feed))[0] for feed in feeds])


if __name__ == "__main__":
    sys.exit(main())
