"""Physical removal: of what gates close, nothing is left; of what they scale, the scale goes into the next layer."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from variants.pruning import Kept, keep, narrow

from .encoder import Attention, Encoder, FeedForward, Gates


@torch.no_grad()
def remove(encoder: Encoder, gates: Gates) -> Encoder:
    """A new encoder that computes what `encoder(waveforms, gates)` does, without the units whose gate is 0.

    A convolution keeps one channel at least, whose gate is then taken as it is.
    """
    sizes = encoder.sizes
    convs = [keep(gate) for gate in gates.convs]
    heads = [keep(gate, least=0) for gate in gates.heads]
    units = [keep(gate, least=0) for gate in gates.ffns]
    smaller = Encoder(
        replace(
            sizes,
            convs=tuple(map(len, convs)),
            heads=tuple(tuple(sizes.heads[i][j] for j in kept.index.tolist()) for i, kept in enumerate(heads)),
            ffns=tuple(map(len, units)),
        )
    )
    before: Kept | None = None
    state: dict[str, Tensor] = {}
    for i, kept in enumerate(convs):
        old = encoder.convs[i]
        state |= _named(f"convs.{i}.conv.", narrow(old.get_submodule("conv"), kept, before))
        norm = getattr(old, "norm")  # noqa: B009 - which nn.Module cannot type
        if norm is not None:
            state |= _named(f"convs.{i}.norm.", narrow(norm, kept))
        before = kept
    assert before is not None
    plain = Kept(before.index, torch.ones_like(before.scale))  # a norm stands between, and would undo the scale
    state["scale"] = encoder.scale[before.index] * before.scale
    state |= _named("projection_norm.", narrow(encoder.projection_norm, plain))
    state |= _named("projection.", narrow(encoder.projection, inputs=plain))
    for name in ("position_conv", "norm", "relative"):
        state |= _named(f"{name}.", encoder.get_submodule(name))
    for i, (some, few) in enumerate(zip(heads, units, strict=True)):
        layer, prefix = encoder.layers[i], f"layers.{i}."
        for name in ("attention_norm", "ffn_norm"):
            state |= _named(f"{prefix}{name}.", layer.get_submodule(name))
        attention, ffn = layer.get_submodule("attention"), layer.get_submodule("ffn")
        assert isinstance(attention, Attention) and isinstance(ffn, FeedForward)
        state |= {f"{prefix}attention.{key}": value for key, value in _attention(attention, some).items()}
        state |= {f"{prefix}ffn.{key}": value for key, value in _ffn(ffn, few).items()}
    smaller.load_state_dict(state)
    return smaller.to(encoder.scale.device).train(encoder.training)


def _attention(layer: Attention, kept: Kept) -> dict[str, Tensor]:
    if not len(kept):
        return {"out.bias": layer.out.get_parameter("bias")}
    width = layer.head_width
    columns = (kept.index[:, None] * width + torch.arange(width, device=kept.index.device)).flatten()
    inner = Kept(columns, kept.scale.repeat_interleave(width))
    state = _named("out.", narrow(layer.out, inputs=inner)) | _named("gate.", layer.gate)
    for name in ("q", "k", "v"):
        state |= _named(f"{name}.", narrow(layer.get_submodule(name), inner))
    return state | {"gate_constant": layer.gate_constant[kept.index]}


def _ffn(layer: FeedForward, kept: Kept) -> dict[str, Tensor]:
    if layer.inner is None or not len(kept):
        return {"out.bias": layer.out.get_parameter("bias")}
    return _named("inner.", narrow(layer.inner, kept)) | _named("out.", narrow(layer.out, inputs=kept))


def _named(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in module.state_dict().items()}
