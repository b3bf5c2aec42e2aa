"""A pruned module as a file: its weights, and the sizes to build it with."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn


def write(path: Path, module: nn.Module, sizes: Any, notes: Mapping[str, str], half: bool = True) -> None:
    """Write weights and `sizes` (plain JSON values) as safetensors, atomically; half: as float16."""
    state = {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}
    if half:
        state = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    partial = path.with_name(path.name + ".part")
    save_file(state, partial, {**notes, "sizes": json.dumps(sizes)})
    partial.replace(path)


def read(path: Path) -> tuple[Any, dict[str, Tensor], dict[str, str]]:
    """Sizes, weights (float32) and notes of a file that `write` made.

    Raises what safetensors raises for another kind of file, KeyError for one without sizes.
    """
    with safe_open(path, "pt") as file:
        notes = dict(file.metadata() or {})
        sizes = json.loads(notes.pop("sizes"))
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    return sizes, {k: v.float() if v.dtype == torch.float16 else v for k, v in state.items()}, notes
