"""The fastest exact combination: the first convolution cached in torch, all that follows it in one ONNX graph each."""

from collections.abc import Callable
from functools import singledispatch

import torch
from torch import nn

from variants.registry import variant
from variants.runtime.graph import Graph
from variants.runtime.onnx import Finish, as_it_is

from .cached import CachedFront, cache_sinc
from .lowered import lowered_sequence

Behind = Callable[[CachedFront], Finish]  # what finishes the file of the graph behind this front
FEATURES = 2658  # what the first convolution and its pooling leave of a chunk


def graph_behind(front: CachedFront, rest: nn.Module, finish: Behind = lambda front: as_it_is) -> Graph:
    """What follows `front` in a model, as one graph."""
    return Graph(rest, torch.rand(1, len(front.gain), FEATURES), finish(front))


@variant(
    "best-exact",
    title="best exact",
    parent="shared-folded",
    exact=True,
    needs=["onnx", "onnxruntime"],
    exported_by="onnx-tuned",
    segmentation="segmentation-cached-onnx",
)
@variant(
    "distilled-best-exact",
    title="+ best exact",
    parent="distilled-shared-folded",
    exact=True,
    tolerance=1.0,
    needs=["onnx", "onnxruntime"],
    default=False,
    exported_by="distilled-onnx-tuned",
    segmentation="segmentation-cached-onnx",
)
@singledispatch
def best_exact(model: nn.Module) -> nn.Module:
    """The first convolution cached; what lies between it and the pooling as one graph, lowered to two dimensions."""
    return cached_graph(model)


def cached_graph(model: nn.Module, finish: Behind = lambda front: as_it_is) -> nn.Module:
    """The body of `best_exact`."""
    model = cache_sinc(model)
    front, back = model.get_submodule("sincnet").children()
    assert isinstance(front, CachedFront)
    *trunk, flatten = lowered_sequence([*back.children(), *model.get_submodule("tdnns").children()])
    graph = graph_behind(front, nn.Sequential(*trunk), finish)
    model.sincnet, model.tdnns = front, nn.ModuleList([graph, flatten])  # in torch the last reshaping copies nothing
    return model.eval()
