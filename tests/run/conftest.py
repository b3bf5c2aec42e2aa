"""Options as the command line gives them, and what the user has fetched."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.run.options import Options, add_options, parse
from variants.fetch import path_of


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """An empty cache, whatever the user has fetched; the function puts a file in the paper's segmentation's place."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def fetched() -> None:
        path_of("pyannote/segmentation").parent.mkdir(parents=True)
        path_of("pyannote/segmentation").touch()

    return fetched


@pytest.fixture
def options() -> Callable[..., Options]:
    def made(*arguments: str) -> Options:
        parser = argparse.ArgumentParser()
        add_options(parser.add_argument)
        given = parser.parse_args(arguments)
        return parse(lambda name: getattr(given, name))

    return made
