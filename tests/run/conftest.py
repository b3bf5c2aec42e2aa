"""Options as the command line gives them."""

import argparse
from collections.abc import Callable

import pytest

from bench.run.options import Options, add_options, parse


@pytest.fixture
def options() -> Callable[..., Options]:
    def made(*arguments: str) -> Options:
        parser = argparse.ArgumentParser()
        add_options(parser.add_argument)
        given = parser.parse_args(arguments)
        return parse(lambda name: getattr(given, name))

    return made
