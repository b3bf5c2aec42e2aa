"""The paper's two prunings, which only write zeros (paper IV-C.1): no layer gets smaller or faster."""

from torch import nn
from torch.nn.utils import prune

from variants.registry import variant


def prunable(model: nn.Module) -> list[nn.Module]:
    """Every convolution and linear layer, as the paper chose them (the sinc filterbank has no free weights)."""
    return [m for m in model.modules() if isinstance(m, (nn.Conv1d, nn.Linear))]


@variant(
    "distilled-pruned-structured",
    title="+ structured pruning",
    parent="distilled",
    paper="+ structured pruning",
    tolerance=1.0,
)
def prune_structured(model: nn.Module) -> nn.Module:
    """`ln_structured(amount=1, n=2, dim=0)`: the integer 1 zeroes ONE output channel of each layer."""
    for module in prunable(model):
        prune.ln_structured(module, "weight", amount=1, n=2, dim=0)
        prune.remove(module, "weight")
    return model


@variant(
    "distilled-pruned-unstructured",
    title="+ unstructured pruning",
    parent="distilled",
    paper="+ unstructured pruning",
    tolerance=1.0,
)
def prune_unstructured(model: nn.Module) -> nn.Module:
    """`global_unstructured(L1Unstructured, amount=0.3)`: zeroes the smallest 30 % of all these weights."""
    modules = prunable(model)
    prune.global_unstructured(
        [(module, "weight") for module in modules], pruning_method=prune.L1Unstructured, amount=0.3
    )
    for module in modules:
        prune.remove(module, "weight")
    return model


def coo_bytes(ndim: int, nonzero: int, element_size: int = 4) -> int:
    """Bytes of a COO tensor: int64 indices and values of its non-zero elements (paper equation 2)."""
    return nonzero * (8 * ndim + element_size)


def coo_break_even(ndim: int, element_size: int = 4) -> float:
    """Sparsity above which COO is smaller than dense storage (paper equation 4)."""
    return 1 - element_size / (8 * ndim + element_size)
