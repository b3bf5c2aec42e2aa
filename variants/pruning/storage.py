"""A pruned module as a file: its weights, and the sizes to build it with."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

SCALE = ".scale"  # behind the name of a matrix in eight bits: what its rows are multiplied by


def write(
    path: Path,
    module: nn.Module,
    sizes: object,
    notes: Mapping[str, str],
    half: bool = True,
    coarse: Collection[str] = (),
) -> None:
    """Write weights and `sizes` (plain JSON values) as safetensors, atomically.

    half: as float16. coarse: names of matrices (rows, columns) to round to eight bits, by rows, instead.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}
    if half:
        state = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    for key in coarse:
        matrix = module.get_parameter(key).detach().cpu()
        scale = matrix.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127
        state[key], state[key + SCALE] = (matrix / scale).round().to(torch.int8), scale
    partial = path.with_name(path.name + ".part")
    save_file(state, partial, {**notes, "sizes": json.dumps(sizes)})
    partial.replace(path)


def read(path: Path) -> tuple[Any, dict[str, Tensor], dict[str, str]]:
    """Sizes (what JSON holds), weights (float32) and notes of a file that `write` made.

    Raises what safetensors raises for another kind of file, KeyError for one without sizes.
    """
    with safe_open(path, "pt") as file:
        notes = dict(file.metadata() or {})
    return json.loads(notes.pop("sizes")), read_state(path), notes


def read_state(path: Path) -> dict[str, Tensor]:
    """Weights of any safetensors file, those of fewer bits as float32."""
    with safe_open(path, "pt") as file:
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    state = {key: value.float() if value.dtype == torch.float16 else value for key, value in state.items()}
    for key in [key for key in state if key.endswith(SCALE) and key.removesuffix(SCALE) in state]:
        state[key.removesuffix(SCALE)] = state[key.removesuffix(SCALE)] * state.pop(key)
    return state
