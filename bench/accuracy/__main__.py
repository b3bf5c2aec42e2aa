"""`python -m bench.accuracy coverage`: how often the interval of a DER difference holds the truth."""

import argparse
import sys

from . import coverage


def main(arguments: list[str] | None = None) -> int:
    """Print one table in markdown; 0."""
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy", description=__doc__)
    commands = parser.add_subparsers(required=True, dest="command")
    covering = commands.add_parser("coverage", help="the table of docs/accuracy.md, simulated")
    covering.add_argument("--runs", type=int, default=1000, metavar="N", help="comparisons per cell (default: 1000)")
    covering.add_argument("--seed", type=int, default=0, metavar="N", help="of the simulation (default: 0)")
    given = parser.parse_args(arguments)
    print(coverage.table(given.runs, given.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
