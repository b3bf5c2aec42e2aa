"""The full-size network with weights drawn by a seed, which need no file, and a little speech."""

from typing import Any

import numpy as np
import pytest
import torch

from bench.corpus import sample
from variants.campplus import CAMPlusPlus
from variants.provenance import Provenance, stamp

SAMPLES = 48_000  # 3 s: two segments of the masks, the second cut short


def drawn(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A state of these shapes by numpy's oldest generator, whose stream is frozen: what is recorded stays valid."""
    rng = np.random.RandomState(0)
    found = {}
    for name, shape in sorted((name, tuple(tensor.shape)) for name, tensor in state.items()):
        if name.endswith("num_batches_tracked"):
            found[name] = state[name]
        elif name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
            found[name] = torch.from_numpy(rng.uniform(0.5, 1.5, shape)).float()
        else:
            deviation = (2 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 0.2
            found[name] = torch.from_numpy(rng.normal(0, deviation, shape)).float()
    return found


@pytest.fixture(scope="session")
def speech() -> torch.Tensor:
    """(2, 1, samples): both speakers of pyannote's sample."""
    waveform = torch.from_numpy(sample()[0].waveform()).float()
    return torch.stack([waveform[:, first : first + SAMPLES] for first in (104_000, 200_000)])


@pytest.fixture(scope="session")
def seeded() -> Any:
    """Not to be changed: `variants.build` copies it."""
    model = CAMPlusPlus()
    model.load_state_dict(drawn(model.state_dict()))
    return stamp(model.eval(), Provenance("test", "c" * 64, trained=True))


@pytest.fixture(scope="session")
def small() -> Any:
    """The same with fewer layers, for what takes its time. Not to be changed."""
    model = CAMPlusPlus(((2, 1), (2, 2), (1, 2)))
    model.load_state_dict(drawn(model.state_dict()))
    return stamp(model.eval(), Provenance("test", "d" * 64, trained=True))
