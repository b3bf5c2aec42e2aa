"""Channel-pruned: the baseline with fewer channels in every convolution, taught by it while they went.

The second paper's method on the first paper's model; `python -m variants.training prune` makes the weights.
"""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeVar, cast

import torch
from safetensors import safe_open
from torch import Tensor, nn

from variants.errors import UnavailableError
from variants.exact.best_exact import best_exact
from variants.exact.folded import fold, frozen_sinc
from variants.exact.onnx_tuned import onnx_tuned
from variants.exact.shared_trunk import share
from variants.loading import WEIGHTS, checked
from variants.provenance import Provenance, provenance_of, stamp
from variants.pruning import keep, narrow, read
from variants.registry import Variant, variant

from .best import best
from .int8_static import int8_static

Network = TypeVar("Network", bound=nn.Module)
Amount = TypeVar("Amount", float, Tensor)
# Output channels of the trunk's convolutions: sinc filters, two more of the SincNet, five TDNN levels.
CHANNELS = (80, 60, 60, 512, 512, 512, 512, 1500)
# Taps and, of a chunk of 5 s, output positions of each.
GEOMETRY = ((251, 7975), (5, 2654), (5, 880), (5, 289), (3, 285), (3, 279), (1, 279), (1, 279))


def trunk_macs(channels: Sequence[Amount]) -> Amount:
    """Multiply-adds of the trunk on a chunk of 5 s, its convolutions having so many (expected) output channels."""
    (taps, positions), *behind = GEOMETRY
    total = taps * positions * channels[0]  # of the waveform, which is one channel
    for (taps, positions), (given, made) in zip(behind, pairwise(channels), strict=True):
        total = total + taps * positions * given * made
    return total


def remove_channels(model: Network, masks: Sequence[Tensor]) -> Network:
    """Take the channels out whose mask is 0, and fold what is left of the masks into the layers behind; in place.

    masks: (channels,) of each convolution's outputs behind norm and activation, in the order of `CHANNELS`, the last
    of both halves of the pooled statistics. The sinc filters become a plain convolution; `model.filters` tells
    which stayed.
    """
    sincnet, tdnns = model.get_submodule("sincnet"), model.get_submodule("tdnns")
    convolutions, norms = sincnet.get_submodule("conv1d"), sincnet.get_submodule("norm1d")
    assert isinstance(tdnns, nn.ModuleList) and isinstance(convolutions, nn.ModuleList)
    assert isinstance(norms, nn.ModuleList)
    convolutions[0] = frozen_sinc(convolutions[0])
    places = [(convolutions, i, norms, i) for i in range(3)] + [(tdnns, i, tdnns, i + 2) for i in range(0, 15, 3)]
    kept = [keep(mask) for mask in masks]
    inputs = None
    for (layers, i, normed_by, j), outputs in zip(places, kept, strict=True):
        layers[i], normed_by[j] = narrow(layers[i], outputs, inputs), narrow(normed_by[j], outputs)
        inputs = outputs
    model.embedding = narrow(model.get_submodule("embedding"), None, kept[-1].repeated(2, len(masks[-1])))
    setattr(model, "filters", kept[0].index)  # noqa: B010 - nn.Module types its attributes as modules
    return model


def channels_of(model: nn.Module) -> list[int]:
    """Output channels of each of the trunk's convolutions, as in `CHANNELS`."""
    sincnet, tdnns = (list(model.get_submodule(name).children()) for name in ("sincnet.conv1d", "tdnns"))
    return [cast(nn.Conv1d, layer).out_channels for layer in (*sincnet, *tdnns[::3])]


def with_channels(model: Network, channels: Sequence[int]) -> Network:
    """`model` made as small as `channels` says, for weights to be loaded into; in place."""
    masks = [(torch.arange(of) < units).float() for units, of in zip(channels, CHANNELS, strict=True)]
    return remove_channels(model, masks)


def is_pruned(path: Path) -> bool:
    """Whether a safetensors file holds a pruned model."""
    with safe_open(path, "pt") as file:
        return "sizes" in (file.metadata() or {})


def load_pruned(model: nn.Module, path: Path) -> nn.Module:
    """The pruned model in a file, built from the baseline `model`; UnavailableError for that of another baseline."""
    teacher = provenance_of(model)
    with safe_open(path, "pt") as file:
        taught_by = json.loads(file.metadata()["teacher_sha256"])
    if teacher is None or teacher.sha256 != taught_by:
        of = "this model" if teacher is None else teacher.source
        raise UnavailableError(
            f"{path.stem} is pruned of the bundled embedding, not of {of}: `python -m variants.training prune`"
        )
    channels, state, _ = read(path)
    pruned = with_channels(model, channels)
    pruned.load_state_dict(state)
    return pruned.eval()


def _register(percent: int, tolerance: float) -> None:
    """`channel-pruned-<percent>`, and every technique that it composes with."""
    name = f"channel-pruned-{percent}"
    path = WEIGHTS / f"{name}.safetensors"

    @variant(name, title=f"channels pruned, -{percent} % MACs", tolerance=tolerance, default=False)
    def pruned(model: nn.Module) -> nn.Module:
        digest = checked(path)
        return stamp(load_pruned(model, path), Provenance(f"bundled {name}", digest, trained=True))

    def composed(
        suffix: str,
        title: str,
        parent: str = "",
        exact: bool = True,
        exported_by: str | None = None,
        segmentation: str | None = None,
    ) -> Variant:
        return Variant(
            f"{name}-{suffix}",
            title=f"+ {title}",
            parent=f"{name}{parent}",
            exact=exact,
            tolerance=tolerance,
            needs=() if suffix.startswith("shared") else ("onnx", "onnxruntime"),
            default=False,
            exported_by=exported_by,
            segmentation=segmentation,
        )

    folded = "-shared-folded"
    composed("shared-trunk", "shared trunk")(share)
    composed("shared-folded", "shared trunk, folding", "-shared-trunk")(fold)
    composed("onnx-tuned", "ONNX, tuned", folded)(onnx_tuned)
    composed(
        "best-exact",
        "best exact",
        folded,
        exported_by=f"{name}-onnx-tuned",
        segmentation="segmentation-cached-onnx",
    )(best_exact)
    composed("int8", "int8, static", folded, exact=False)(int8_static)
    composed(
        "best",
        "best",
        folded,
        exact=False,
        exported_by=f"{name}-int8",
        segmentation="segmentation-cached-int8",
    )(best)


_register(50, tolerance=0.5)
_register(75, tolerance=1.5)
