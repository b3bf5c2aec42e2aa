"""The paper's layer fusion: `fuse_modules` on every convolution that a ReLU follows (paper IV-C.2)."""

import warnings

from torch import nn

from variants.registry import variant


@variant(
    "distilled-fused",
    title="+ layer fusion",
    parent="distilled",
    paper="+ layer fusion",
    exact=True,
    tolerance=1.0,
)
def fuse(model: nn.Module) -> nn.Module:
    """Each (Conv1d, ReLU) pair of the TDNN becomes one `ConvReLU1d`."""
    from torch.ao.quantization import fuse_modules

    tdnns = model.get_submodule("tdnns")
    assert isinstance(tdnns, nn.ModuleList)
    pairs = [
        [f"tdnns.{i}", f"tdnns.{i + 1}"]
        for i in range(len(tdnns) - 1)
        if isinstance(tdnns[i], nn.Conv1d) and isinstance(tdnns[i + 1], nn.ReLU)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao is deprecated upstream; it is what the paper used
        fused: nn.Module = fuse_modules(model.eval(), pairs)
    return fused
