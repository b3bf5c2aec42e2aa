"""The sinc filters computed once."""

from torch import nn

from variants.errors import UnavailableError
from variants.exact.folded import frozen_sinc
from variants.registry import variant


@variant(
    "segmentation-frozen",
    title="frozen sinc",
    parent="segmentation",
    model="segmentation",
    exact=True,
    exported_by="segmentation-onnx",
)
def freeze_sinc(model: nn.Module) -> nn.Module:
    """The sinc filters computed once."""
    try:
        filters = model.get_submodule("sincnet.conv1d")
    except AttributeError:
        raise UnavailableError(f"freezing needs a SincNet, which {type(model).__name__} has not") from None
    assert isinstance(filters, nn.ModuleList)
    filters[0] = frozen_sinc(filters[0])
    return model.eval()
