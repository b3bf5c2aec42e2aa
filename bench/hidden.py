"""Refuse to load where somebody else's `bench` or `variants` hides this project's; imports neither."""

import importlib.util
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[1]

for _name in ("bench", "variants"):
    _spec = importlib.util.find_spec(_name)
    _found = [] if _spec is None else [*(_spec.submodule_search_locations or []), str(_spec.origin)]
    if HOME / _name not in [Path(_place).resolve() for _place in _found]:
        raise pytest.UsageError(
            f"{_found[0] if _found else 'nothing'} hides DiartBench's package `{_name}` by its name: "
            "rename it, or run pytest from a folder without it"
        )
