"""bfloat16 where the CPU multiplies it: the TDNN's convolutions in half the bits of float32, with all of its range."""

import torch
from torch import nn

from variants.errors import UnavailableError
from variants.registry import variant
from variants.runtime.cpu import cpu_flags

NEEDED = {"avx512_bf16", "amx_bf16"}


def has_bfloat16() -> None:
    """Raise UnavailableError where bfloat16 would be emulated, and slower than float32."""
    if not NEEDED & set(cpu_flags()):
        raise UnavailableError(f"bf16 needs a CPU with {' or '.join(sorted(NEEDED))}")


class Cast(nn.Module):
    """The inputs as another type."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.to(self.dtype)


@variant(
    "bf16",
    title="shared trunk, bfloat16",
    parent="shared-folded",
    tolerance=0.3,
    default=False,
    probe=has_bfloat16,
    exported_by="shared-folded",
)
def bf16(model: nn.Module) -> nn.Module:
    """The folded TDNN in bfloat16; SincNet, with its instance norms, and pooling stay in float32."""
    if not isinstance(getattr(model, "tdnns", None), nn.ModuleList):
        raise UnavailableError(f"bf16 needs an XVectorSincNet, not a {type(model).__name__}")
    tdnns = model.get_submodule("tdnns").to(torch.bfloat16).children()
    model.tdnns = nn.ModuleList([Cast(torch.bfloat16), *tdnns, Cast(torch.float32)])
    return model.eval()
