"""Parameters and sizes of the paper's rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.latency.size import MIB, parameters, saved_size

pytestmark = pytest.mark.slow  # together: real exports and real forward passes
Built = Callable[[str], Any]


@pytest.mark.parametrize(
    ("name", "count", "mib"),
    [
        ("baseline", 4_346_366, 16.62),
        ("baseline-twin", 4_346_366, 16.62),
        ("distilled", 3_558_398, 13.61),
        ("distilled-pruned-structured", 3_558_398, 13.61),
        ("distilled-pruned-unstructured", 3_558_398, 13.61),
        ("distilled-fused", 3_558_398, 13.61),
        ("distilled-int8", 3_558_398, 9.22),
    ],
)
def test_parameters_and_saved_size(built: Built, tmp_path: Path, name: str, count: int, mib: float) -> None:
    model = built(name)
    assert parameters(model) == count
    assert round(saved_size(model) or 0, 2) == mib
    torch.save(model.state_dict(), tmp_path / "model.pt")
    assert round((tmp_path / "model.pt").stat().st_size / MIB, 2) == mib
