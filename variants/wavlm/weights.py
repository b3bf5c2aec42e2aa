"""Weights: WavLM's own through transformers, a whole segmenter from a file, else seeded random ones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from variants.errors import UnavailableError, UserError
from variants.provenance import Provenance, stamp
from variants.pruning import read, write

from .encoder import Encoder
from .segmenter import Segmenter
from .sizes import POSITION_GROUPS, PRESETS, Sizes, dense

if TYPE_CHECKING:
    from transformers import WavLMConfig

KIND = "wavlm-segmenter"
SEED = 0
NAMES = [  # transformers' names of modules -> ours
    ("feature_extractor.conv_layers.", "convs."),
    (".layer_norm.", ".norm."),
    ("feature_projection.norm.", "projection_norm."),
    ("feature_projection.projection.", "projection."),
    ("encoder.pos_conv_embed.conv.", "position_conv."),
    ("encoder.norm.", "norm."),
    ("encoder.layers.0.attention.rel_attn_embed.", "relative."),
    ("encoder.layers.", "layers."),
    (".attention.gru_rel_pos_linear.", ".attention.gate."),
    (".attention.gru_rel_pos_const", ".attention.gate_constant"),
    (".attention.out_proj.", ".attention.out."),
    *((f".attention.{name}_proj.", f".attention.{name}.") for name in "qkv"),
    (".feed_forward.intermediate_dense.", ".ffn.inner."),
    (".feed_forward.output_dense.", ".ffn.out."),
    (".final_layer_norm.", ".ffn_norm."),
]


def converted(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An encoder's weights from those of transformers' `WavLMModel`, the weight norm folded."""
    result: dict[str, Tensor] = {}
    magnitude, direction = "parametrizations.weight.original0", "parametrizations.weight.original1"
    for key, value in state.items():
        if key == "masked_spec_embed" or key.endswith(magnitude):  # for training it; taken with the direction
            continue
        name = key
        if key.endswith(direction):
            name = key.replace(direction, "weight")
            value = torch._weight_norm(value, state[key.replace(direction, magnitude)], 2)
        for theirs, ours in NAMES:
            name = name.replace(theirs, ours)
        if name.startswith("layers."):
            name = ".".join(
                part if i != 2 or part != "norm" else "attention_norm" for i, part in enumerate(name.split("."))
            )
        result[name] = value.flatten() if name.endswith("gate_constant") else value
    result["scale"] = torch.ones(len(result["projection_norm.weight"]))
    return result


def sizes_of(config: WavLMConfig) -> Sizes:
    """The sizes of a transformers `WavLMConfig`; UserError for what this encoder is not."""
    sizes = dense(
        config.conv_dim[0],
        config.num_hidden_layers,
        config.num_attention_heads,
        config.intermediate_size,
        config.hidden_size,
        config.do_stable_layer_norm,
    )
    same = config.num_conv_pos_embedding_groups == POSITION_GROUPS and not config.conv_bias
    norm = "layer" if sizes.large else "group"
    if not same or set(config.conv_dim) != {sizes.convs[0]} or config.feat_extract_norm != norm:
        raise UserError("a WavLM of another kind than Base+ or Large: only their architectures are known here")
    return sizes


def pretrained(source: str) -> Encoder:
    """The encoder in a local folder or of a Hugging Face id that transformers reads as a `WavLMModel`.

    Raises UserError, one line, for one that is missing, damaged or another model.
    """
    try:
        from transformers import WavLMModel
    except ImportError:
        raise UnavailableError("WavLM's own weights need the package transformers: pip install transformers") from None
    try:
        model, about = WavLMModel.from_pretrained(source, output_loading_info=True)
    except Exception as error:  # whatever transformers, its network or a damaged file raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"WavLM {source}: {reason}") from None
    missing = [key for key in about["missing_keys"] if key != "masked_spec_embed"]
    if missing:
        raise UserError(f"WavLM {source}: not a WavLM, it lacks {missing[0]} and {len(missing) - 1} more")
    encoder = Encoder(sizes_of(model.config))
    encoder.load_state_dict(converted(model.state_dict()))
    return encoder.eval()


def random_segmenter(sizes: Sizes, seed: int = SEED) -> Segmenter:
    """A segmenter with random weights, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        segmenter = Segmenter(sizes)
        segmenter.encoder.initialise()
    return segmenter.eval()


def load_preset(name: str, source: str | None = None) -> Segmenter:
    """The segmenter of a preset; its encoder's weights from `source` (see `pretrained`), if given, else random.

    Its head is random either way, and its provenance says so: only its cost means anything.
    """
    segmenter = random_segmenter(PRESETS[name])
    if source is not None:
        encoder = pretrained(source)
        if encoder.sizes != segmenter.encoder.sizes:
            raise UserError(f"WavLM {source} has not the sizes of {name}: pruned weights come from the recipe")
        segmenter.encoder = encoder
    shown = name if source is None else f"{name}={source}"
    return stamp(segmenter, Provenance(shown, digest(segmenter), trained=False))


def digest(module: nn.Module) -> str:
    """SHA-256 of a module's weights."""
    found = hashlib.sha256()
    for value in module.state_dict().values():
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def save(segmenter: Segmenter, path: Path, notes: Mapping[str, str], half: bool = True) -> None:
    """Write a trained segmenter as safetensors, atomically; half: in float16."""
    write(path, segmenter, segmenter.sizes(), {**notes, "kind": KIND}, half)


def load_file(path: Path) -> Segmenter:
    """A segmenter that `save` wrote; UserError for another file."""
    try:
        sizes, state, notes = read(path)
        if notes.get("kind") != KIND:
            raise KeyError("kind")
        if sizes["head"]["blocks"] > len(state):
            raise ValueError("it claims more blocks than it has weights")
        with torch.device("meta"):  # sizes first, before a file's claims take memory
            Segmenter.of(sizes).load_state_dict({key: value.to("meta") for key, value in state.items()}, assign=True)
        segmenter = Segmenter.of(sizes)
        segmenter.load_state_dict(state)
    except Exception as error:  # safetensors, JSON and torch each have their own for a damaged file
        said = "it holds no WavLM" if isinstance(error, KeyError) else str(error).strip()  # sizes or kind are not there
        reason = (said.splitlines() or [type(error).__name__])[0][:300]
        raise UserError(f"{path}: not a segmentation of this project ({reason})") from None
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return stamp(segmenter.eval(), Provenance(str(path), sha256, trained=True))
