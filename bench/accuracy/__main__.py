"""`python -m bench.accuracy coverage`: how often the interval of a DER difference holds the truth."""

import argparse
import sys

from variants.commands import command, number

from . import coverage


def main(arguments: list[str] | None = None) -> int:
    """Print one table in markdown; 0."""
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy", description=__doc__)
    commands = parser.add_subparsers(required=True, dest="command")
    covering = commands.add_parser("coverage", help="the table of docs/accuracy.md, simulated")
    covering.add_argument(
        "--runs", type=number(int, 1), default=1000, metavar="N", help="comparisons per cell (default: 1000)"
    )
    covering.add_argument("--seed", type=number(int, 0), default=0, metavar="N", help="of the simulation (default: 0)")
    given = parser.parse_args(arguments)
    return command("bench.accuracy", lambda: print(coverage.table(given.runs, given.seed)))


if __name__ == "__main__":
    sys.exit(main())
