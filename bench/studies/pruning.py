"""`python -m bench.studies pruning`: pruning that zeroes, goes by norms, and learns, by the DER of what is left.

With --data also the second paper's own question on this model: fine-tune before pruning, or after?
"""

from __future__ import annotations

import argparse
import copy
import statistics
from pathlib import Path
from typing import Any

import variants
from bench.accuracy.der import Accuracy
from bench.run.options import add_options
from variants import UserError
from variants.commands import command, number
from variants.compressed.channel_pruned import CHANNELS, channels_of, remove_channels, trunk_macs
from variants.training.prune import norm_masks

from .distillation import Scorer, check_studied, markdown_table

ORDERS = ("fine-tune-first", "prune-first")
HEAD = ["DER", "over the baseline", "lowest cosine", "disagreement"]


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.studies pruning", description=__doc__)
    parser.add_argument("--data", type=Path, metavar="DIR", help="single-speaker speech: train both orders, compare")
    parser.add_argument("--out", type=Path, default=Path("runs/pruning"), metavar="DIR", help="of these runs")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="for stored features (default: --out)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument(
        "--share",
        type=number(float, 0.01, 0.99, "from 0.01 to 0.99"),
        default=0.75,
        help="of the multiply-adds to remove (default %(default)s)",
    )
    parser.add_argument(
        "--steps", type=number(int, 1), default=300, help="of pruning; as many of distilling on, half of tuning"
    )
    parser.add_argument(
        "--batch-seconds", type=number(float, 1), default=20, help="of crops per batch (default %(default)s)"
    )
    parser.add_argument(
        "--copies", type=number(int, 0), default=4, help="augmented copies to store (default %(default)s)"
    )
    parser.add_argument("--report", type=Path, nargs="*", default=[], metavar="DIR", help="further corpora")
    add_options(parser.add_argument)
    parser.set_defaults(accuracy="full", corpus=Path("embedded-test"))
    given = parser.parse_args(arguments)
    return command("bench.studies pruning", lambda: study(given))


def study(given: argparse.Namespace) -> None:
    """The tables for each corpus; with `given.data`, those of both orders, too."""
    check_studied(given, given.data)
    for corpus in (given.corpus, *given.report):
        scorer = Scorer(given, corpus)
        _compare(scorer, corpus)
        if given.data:
            _orders(given, scorer, corpus)


def _compare(scorer: Scorer, corpus: Path) -> None:
    """The paper's zeroing beside its parent, channels chosen by their norms, the bundled ones."""
    root: Any = scorer.run.models.root  # an XVectorSincNet, or its pruned variants cannot be built
    models = {name: variants.build(name, root) for name in ("distilled", "distilled-pruned-structured")}
    removed = dict.fromkeys(models, 0.0)
    for percent in (50, 75):
        by_norm = remove_channels(copy.deepcopy(root), norm_masks(root, percent / 100))
        for name, model in {
            f"-{percent} %, least L2 norms, not taught": by_norm,
            f"channel-pruned-{percent}": variants.build(f"channel-pruned-{percent}", root),
        }.items():
            models[name], removed[name] = model, 1 - trunk_macs(channels_of(model)) / trunk_macs(CHANNELS)
    print(f"\nPruning on {corpus}, where the baseline's DER is {scorer.der:.2f}\n")
    scores = {name: scorer.model(model) for name, model in models.items()}
    rows = [(name, 100 * removed[name], *_figures(scorer, score)) for name, score in scores.items()]
    markdown_table(["embedding", "MACs removed, %", *HEAD], rows)


def _orders(given: argparse.Namespace, scorer: Scorer, corpus: Path) -> None:
    """Both orders with every seed, then the differences, paired by seed."""
    print(f"\nOrders on {corpus}: {100 * given.share:g} % removed, {given.steps} steps of pruning\n")
    rows, points = [], {}
    for seed in given.seeds:
        for order in ORDERS:
            score = scorer(_train(given, order, seed))
            points[seed, order] = _figures(scorer, score)
            rows.append((f"{order}, seed {seed}", *points[seed, order]))
    markdown_table(["order", *HEAD], rows)
    first, last = ([points[seed, order][0] for seed in given.seeds] for order in ORDERS)
    gains = [a - b for a, b in zip(first, last, strict=True)]
    spread = f" (standard deviation {statistics.stdev(gains):.2f})" if len(gains) > 1 else ""
    print(
        f"\nFine-tuning first instead of last changes DER by {statistics.mean(gains):+.2f} points{spread}, by seed: ",
        end="",
    )
    print(", ".join(f"{gain:+.2f}" for gain in gains))


def _figures(scorer: Scorer, score: Accuracy) -> tuple[float, float, float | None, float | None]:
    der = score.der or 0.0
    return der, der - scorer.der, score.cosine, score.disagreement


def _train(given: argparse.Namespace, order: str, seed: int) -> Path:
    """The pruned model of one run, trained if it is not there yet."""
    from variants.training.__main__ import main as train

    out: Path = given.out / f"{given.share:g}-{given.steps}-{order}-{seed}"
    if not (out / "pruned.safetensors").exists():
        options = ["--data", given.data, "--out", out, "--cache", given.cache or given.out, "--copies", given.copies]
        options += ["--teacher", given.embedding, "--order", order, "--seed", seed, "--share", given.share]
        options += ["--steps", given.steps, "--distil-steps", given.steps, "--fine-tune-steps", given.steps // 2]
        options += ["--gate-lr", 30 / given.steps, "--batch-seconds", given.batch_seconds]
        options += ["--threads", given.threads, "--workers", 0]
        options += ["--resume"] if list(out.glob("*/last.ckpt")) else []
        if train(["prune", *map(str, options)]):
            raise UserError(f"{out}: this run failed")
    return out / "pruned.safetensors"
