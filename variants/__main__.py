"""`python -m variants list | export | fetch`: what runs here; a variant as one ONNX file; models without a token."""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn
from rich.table import Table

from .commands import command, number, place
from .compressed.calibration import calibrated_on
from .errors import UnavailableError
from .exporting import export_variant
from .fetch import KNOWN, fetch, path_of
from .files import check_writable, utf8_output
from .loading import default_segmentation, load
from .registry import MODELS, Variant, get, names, require


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m variants", description=__doc__)
    commands = parser.add_subparsers(required=True)
    listing = commands.add_parser("list", help="all variants, what they need, and whether they run here")
    listing.set_defaults(run=show)
    exporting = commands.add_parser("export", help="one variant as one ONNX file")
    exporting.set_defaults(run=export)
    exporting.add_argument("name", metavar="NAME")
    exporting.add_argument("--out", type=Path, required=True, metavar="FILE", help="the ONNX file to write")
    for kind, model in zip(MODELS, ("bundled", default_segmentation()), strict=True):
        exporting.add_argument(f"--{kind}", default=model, metavar="MODEL", help="as for pytest bench")
    exporting.add_argument("--trust-checkpoint", action="store_true", help="as for pytest bench")
    exporting.add_argument("--calibration", type=place, metavar="DIR", help="as for pytest bench")
    exporting.add_argument(
        "--der",
        type=number(float, -100),
        metavar="POINTS",
        help="measured DER increase (default: the newest in --benchmarks)",
    )
    exporting.add_argument(
        "--benchmarks", type=Path, default=Path(".benchmarks"), metavar="DIR", help="stored runs (default: .benchmarks)"
    )
    fetching = commands.add_parser("fetch", help="trained models that need no token, into the user's cache")
    fetching.set_defaults(run=fetch_models)
    fetching.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(KNOWN)} (default: all)")
    given = parser.parse_args(arguments)
    return command("variants", lambda: given.run(given))


def show(given: argparse.Namespace) -> None:
    """Print the table of all variants, those of the segmentation model last."""
    table = Table("variant", "parent", "output", "DER tolerance", "needs", "measured", "here", "ONNX file")
    for entry in (get(name) for model in MODELS for name in names(model)):
        try:
            require(entry.name)
            here = "yes"
        except UnavailableError as error:
            here = f"no: {error}"
        table.add_row(
            entry.name,
            entry.parent or "",
            "as parent's" if entry.exact else "other",
            f"{entry.tolerance:g}",
            ", ".join(entry.needs),
            _measured(entry),
            here,
            entry.exported_by or entry.name,
        )
    Console(width=None if sys.stdout.isatty() else 400).print(table)


def _measured(entry: Variant) -> str:
    if entry.model == "segmentation":
        return "by --segmentation-variant"
    return "by default" if entry.default else "when named"


def export(given: argparse.Namespace) -> None:
    """Write the file and print what its metadata say."""
    kind = get(given.name).model
    check_writable(given.out, "--out")  # before anything is loaded
    root = load(kind, getattr(given, kind), given.trust_checkpoint)
    with calibrated_on(given.calibration):
        notes = export_variant(given.name, root, given.out, given.der, given.benchmarks.rglob("*.json"))
    print(f"{given.out}: " + ", ".join(f"{key} {value}" for key, value in notes.items()))


def fetch_models(given: argparse.Namespace) -> None:
    """Fetch what is not there yet, and print where each model is, and whose."""
    names = given.names or list(KNOWN)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        tasks: dict[str, TaskID] = {}

        def told(package: str, done: int, total: int) -> None:
            if package not in tasks:
                tasks[package] = bar.add_task(package, total=total)
            bar.update(tasks[package], completed=done)

        fetch(names, told)
    for name in names:
        print(f"{name}: {path_of(name)} ({KNOWN[name].licence}, {KNOWN[name].copyright})")


if __name__ == "__main__":
    utf8_output()
    sys.exit(main())
