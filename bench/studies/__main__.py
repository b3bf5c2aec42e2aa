"""`python -m bench.studies NAME`: one study; NAME --help tells what it does."""

import argparse
import importlib
import sys

STUDIES = (
    "ablation",
    "costs",
    "distillation",
    "hour",
    "peers",
    "places",
    "pruning",
    "sensitivity",
    "streaming",
    "wavlm",
)


def main(arguments: list[str] | None = None) -> int:
    """Run the study named first with the rest of the command line; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.studies", description=__doc__)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("options", nargs=argparse.REMAINDER, help="the study's own")
    given = parser.parse_args(arguments)
    study = importlib.import_module(f"bench.studies.{given.study}")
    code: int = study.main(given.options)
    return code


if __name__ == "__main__":
    from variants.files import utf8_output

    utf8_output()
    sys.exit(main())
