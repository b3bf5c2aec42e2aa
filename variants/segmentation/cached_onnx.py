"""The first convolution cached in torch, what follows it as one graph."""

from torch import nn

from variants.exact.best_exact import Behind, graph_behind
from variants.exact.cached import CachedFront
from variants.exact.lowered import lowered_sequence
from variants.registry import variant
from variants.runtime.onnx import as_it_is


@variant(
    "segmentation-cached-onnx",
    title="cached sinc, ONNX",
    parent="segmentation-cached",
    model="segmentation",
    exact=True,
    needs=["onnx", "onnxruntime"],
    exported_by="segmentation-onnx",
)
def rest_in_onnx(model: nn.Module) -> nn.Module:
    """What follows the cached first convolution as one graph."""
    return cached_graph(model)


def cached_graph(model: nn.Module, finish: Behind = lambda front: as_it_is) -> nn.Module:
    """The body of `segmentation-cached-onnx`."""
    front, back = model.get_submodule("sincnet").children()
    assert isinstance(front, CachedFront)
    model.sincnet = lowered_sequence(back.children())
    result = nn.Sequential(front, graph_behind(front, model, finish))
    result.specifications = model.specifications
    return result.eval()
