"""What tests of the streaming segmentations share: a small PyanNet, sound for it, and its scores."""

from typing import Any

import torch
from pyannote.audio.models.segmentation import PyanNet
from torch import Tensor, nn

from variants.loading import segmentation_specifications

HOP, FIELD = 270, 991  # by hand: strides 10, 3, 3, 3; 251 + 10 (2 + 3 (4 + 2 + 3 (4 + 2)))
LENGTH = 20_000  # samples of a chunk: 71 frames
COUNT = 71


def noise(samples: int, seed: int = 0) -> Tensor:
    """With a level that changes, so that statistics do."""
    random = torch.Generator().manual_seed(seed)
    level = torch.rand(samples // 2000 + 1, generator=random).repeat_interleave(2000)[:samples]
    return 0.2 * level * torch.randn(samples, generator=random)


def pyannet(layers: int, monolithic: bool = True, linear: int = 2) -> Any:
    """A small PyanNet whose norms are all different."""
    lstm = {"hidden_size": 16, "num_layers": layers, "bidirectional": True, "monolithic": monolithic}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = PyanNet(lstm=lstm, linear={"hidden_size": 8, "num_layers": linear})
        model.specifications = segmentation_specifications(3)
        model.build()
        for norm in (m for m in model.modules() if isinstance(m, nn.InstanceNorm1d)):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.5, 0.5)
        model.classifier.weight.data *= 10
    return model.eval()


def scores(model: nn.Module, chunk: Tensor) -> Tensor:
    with torch.no_grad():
        (found,) = model(chunk[None, None])
    return found


def near(found: Tensor, expected: Tensor, tolerance: float = 2e-5) -> None:
    torch.testing.assert_close(found, expected.detach(), rtol=tolerance, atol=tolerance, equal_nan=True)
