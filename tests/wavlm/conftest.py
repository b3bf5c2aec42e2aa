"""Tiny models of both kinds of WavLM with weights that make every part matter."""

from collections.abc import Callable

import pytest
import torch

from variants.wavlm import Encoder, Sizes
from variants.wavlm.sizes import dense

BASE = dense(convs=24, layers=4, heads=4, ffn=48, width=64, large=False)
LARGE = dense(convs=24, layers=4, heads=4, ffn=48, width=64, large=True)


Stir = Callable[[torch.nn.Module], torch.nn.Module]


@pytest.fixture
def stirred() -> Stir:
    """Moves weights, biases, norms and constants away from what they are initialised to: none can be forgotten."""

    def stir(module: torch.nn.Module) -> torch.nn.Module:
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        return module.eval()

    return stir


@pytest.fixture(params=[BASE, LARGE], ids=["base", "large"])
def encoder(request: pytest.FixtureRequest, stirred: Stir) -> Encoder:
    sizes: Sizes = request.param
    torch.manual_seed(0)
    return stirred(Encoder(sizes).initialise())  # type: ignore[return-value]
