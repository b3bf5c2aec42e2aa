"""The exact techniques on CAM++: what each does there instead of what it does to an x-vector."""

from collections import OrderedDict
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from variants.campplus import SILENT, CAMPlusPlus
from variants.runtime.graph import Graph
from variants.runtime.onnx import Finish, as_it_is

from .best_exact import best_exact
from .folded import fold
from .lowered import Raised, lowered
from .row_graph import row_graph, runs
from .shared_trunk import share

FEATURES = (80, 498)  # those of a chunk of 5 s: mel bands, frames
# Convolutions of a module, and the norms right behind them; elsewhere a ReLU or another user lies between.
FOLLOWED = {
    "conv1": "bn1",
    "conv2": "bn2",
    "shortcut.0": "shortcut.1",
    "tdnn.linear": "tdnn.nonlinear.batchnorm",
    "linear1": "nonlinear2.batchnorm",
    "transit3.linear": "out_nonlinear.batchnorm",
    "dense.linear": "dense.nonlinear.batchnorm",
}


class OncePerRun(nn.Module):
    """`module` run once per run of equal adjacent rows; rows in, rows out."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        firsts, owner = runs(rows)
        once: torch.Tensor = self.module(rows.index_select(0, firsts))
        return once.index_select(0, owner)


class SharedCAMPlusPlus(CAMPlusPlus):
    """The features once per chunk; behind them each row has a speaker of its own, and silent ones are left out."""

    def __init__(self, model: CAMPlusPlus) -> None:
        nn.Module.__init__(self)
        self.fbank, self.head, self.xvector = OncePerRun(model.fbank), model.head, model.xvector

    def forward(self, waveforms: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        if weights is None:
            return super().forward(waveforms)
        level = weights.amax(dim=1)
        kept = (~(level < level.amax().clamp(max=SILENT))).nonzero()[:, 0]  # at least one row, for runtimes
        embeddings = super().forward(waveforms.index_select(0, kept), weights.index_select(0, kept))
        silent = torch.full_like(embeddings[:1], torch.nan).expand(waveforms.shape[0], -1)
        return silent.index_put((kept,), embeddings)


@share.register
def _(model: CAMPlusPlus) -> nn.Module:
    return SharedCAMPlusPlus(model).eval()


@fold.register
def _(model: CAMPlusPlus) -> nn.Module:
    """Each BatchNorm behind a convolution becomes part of it; those before a ReLU, of concatenated features, stay."""
    for module in [*model.modules()]:
        names = {name for name, _ in module.named_modules()}
        for before, behind in FOLLOWED.items():
            if {before, behind} <= names:
                convolution: Any = module.get_submodule(before)
                norm: Any = module.get_submodule(behind)
                module.set_submodule(before, fuse_conv_bn_eval(convolution, norm))
                module.set_submodule(behind, nn.Identity())
    return model.eval()


@row_graph.register
def _(model: CAMPlusPlus, shared: bool = True, lower: bool = True) -> nn.Module:
    """The model itself, all between front-end and statistics in two dimensions; `shared` as it already is."""
    if lower:
        for name, layer in [*model.xvector.named_modules()]:
            if name and not [*layer.children()] and not name.startswith("dense"):
                model.xvector.set_submodule(name, lowered(layer))
        *layers, (_, statistics), (_, dense) = model.xvector.named_children()
        between = [("raised", Raised()), *layers, ("flat", nn.Flatten(1, 2)), ("stats", statistics), ("dense", dense)]
        model.xvector = nn.Sequential(OrderedDict(between))
    return model.eval()


@best_exact.register
def _(model: CAMPlusPlus) -> nn.Module:
    return graph_behind_features(model)


def graph_behind_features(model: CAMPlusPlus, finish: Finish = as_it_is) -> nn.Module:
    """What a speaker's features are in torch, where it costs little; all behind that as one graph."""
    row_graph(model)
    graph = Graph(nn.Sequential(model.head, model.xvector), torch.rand(1, *FEATURES), finish)
    model.head, model.xvector = graph, nn.Sequential()
    return model.eval()
