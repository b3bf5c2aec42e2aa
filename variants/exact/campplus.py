"""The exact techniques on CAM++: what each does there instead of what it does to an x-vector."""

from collections import OrderedDict
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from variants.campplus import CAMPlusPlus
from variants.runtime.graph import Graph
from variants.runtime.onnx import Finish, as_it_is

from .best_exact import best_exact
from .folded import fold
from .lowered import Raised, lowered
from .pooling import ProductPool
from .row_graph import RowGraph, row_graph
from .shared_trunk import SharedTrunk, share

FEATURES = (80, 498)  # those of a chunk of 5 s: mel bands, frames
# Convolutions of a module and the norms right behind them; elsewhere a ReLU or another user lies between.
FOLLOWED = {
    "conv1": "bn1",
    "conv2": "bn2",
    "shortcut.0": "shortcut.1",
    "tdnn.linear": "tdnn.nonlinear.batchnorm",
    "linear1": "nonlinear2.batchnorm",
    "transit3.linear": "out_nonlinear.batchnorm",
    "dense.linear": "dense.nonlinear.batchnorm",
    "embedding.linear": "embedding.nonlinear.batchnorm",
}


class SharedCAMPlusPlus(SharedTrunk):
    """CAM++ with its trunk run once per run of equal adjacent waveforms."""

    stats_pool: ProductPool

    def __init__(self, model: CAMPlusPlus) -> None:
        nn.Module.__init__(self)
        *layers, (_, self.embedding) = model.xvector.named_children()
        self.fbank, self.network = model.fbank, nn.Sequential(OrderedDict([("head", model.head), *layers]))
        self.stats_pool = ProductPool(model.features)

    def trunk(self, waveforms: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.network(self.fbank(waveforms))
        return features


@share.register
def _(model: CAMPlusPlus) -> nn.Module:
    return SharedCAMPlusPlus(model).eval()


@fold.register(CAMPlusPlus)
@fold.register(SharedCAMPlusPlus)
def _(model: nn.Module) -> nn.Module:
    """Each BatchNorm behind a convolution becomes part of it; those before a ReLU, of concatenated features, stay."""
    for module in [*model.modules()]:
        names = {name for name, _ in module.named_modules()}
        for before, behind in FOLLOWED.items():
            if {before, behind} <= names:
                convolution: Any = module.get_submodule(before)
                norm: Any = module.get_submodule(behind)
                module.set_submodule(before, fuse_conv_bn_eval(convolution, norm))
                module.set_submodule(behind, nn.Identity())
    return model


def lowered_network(network: nn.Sequential) -> nn.Sequential:
    """`network` with all behind its front in two dimensions: (rows, 80, frames) -> (rows, 512, 1, frames)."""
    for name, layer in [*network.named_modules()]:
        if name and not [*layer.children()]:
            network.set_submodule(name, lowered(layer))
    head, *layers = network.children()
    return nn.Sequential(head, Raised(), *layers).eval()


@row_graph.register
def _(model: SharedCAMPlusPlus, shared: bool = True, lower: bool = True) -> RowGraph:
    network = nn.Sequential(lowered_network(model.network), nn.Flatten(1, 2)) if lower else model.network
    return RowGraph(nn.Sequential(model.fbank, network), model.stats_pool, model.embedding, shared).eval()


@best_exact.register
def _(model: SharedCAMPlusPlus) -> nn.Module:
    return graph_behind_features(model)


def graph_behind_features(model: SharedCAMPlusPlus, finish: Finish = as_it_is) -> nn.Module:
    """The features in torch, where they cost little; what lies between them and the pooling as one graph."""
    graph = Graph(lowered_network(model.network), torch.rand(1, *FEATURES), finish)
    model.network = nn.Sequential(graph, nn.Flatten(1, 2))
    return model.eval()
