"""Trained weights as files: reads Lightning checkpoints, reads and writes safetensors; never pickled code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from variants.compressed.channel_pruned import with_channels
from variants.paper.distilled import reduce
from variants.pruning import read_state
from variants.speech.data import DataError

from .architecture import PyanNet, XVectorSincNet

# what pyannote.audio must be told to build the same network
PYANNOTE: dict[type[nn.Module], tuple[str, dict[str, object]]] = {
    XVectorSincNet: (
        "pyannote.audio.models.embedding.XVectorSincNet",
        {"sample_rate": 16000, "num_channels": 1, "sincnet": {"stride": 10}, "dimension": 512},
    ),
    PyanNet: (
        "pyannote.audio.models.segmentation.PyanNet",
        {
            "sample_rate": 16000,
            "num_channels": 1,
            "sincnet": {"stride": 10},
            "lstm": {
                "hidden_size": 128,
                "num_layers": 4,
                "bidirectional": True,
                "monolithic": True,
                "dropout": 0.0,
            },
            "linear": {"hidden_size": 128, "num_layers": 2},
        },
    ),
}
PREFIX = "objective.network."


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return read_state(path)
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        if "objective.norm.running_var" in state:  # of `EmbeddingObjective`: an affine map behind the last layer
            scale = (state["objective.norm.running_var"] + 1e-5).rsqrt()
            state[f"{PREFIX}embedding.weight"] = state[f"{PREFIX}embedding.weight"] * scale[:, None]
            shifted = state[f"{PREFIX}embedding.bias"] - state["objective.norm.running_mean"]
            state[f"{PREFIX}embedding.bias"] = shifted * scale
        return {key.removeprefix(PREFIX): value for key, value in state.items() if key.startswith(PREFIX)}
    except Exception as error:  # safetensors and torch have many for a damaged file
        raise DataError(f"{path}: not a checkpoint or safetensors file ({_lines(error)[0]})") from None


def load_network(path: Path) -> nn.Module:
    """The network whose weights a checkpoint or a safetensors file holds, float32, in evaluation mode.

    Raises DataError, one line, for any other file.
    """
    state = _read(path)
    try:
        network: nn.Module = PyanNet() if any(key.startswith("lstm") for key in state) else XVectorSincNet()
        if "sincnet.conv1d.0.weight" in state:  # a pruned one: no sinc functions any more, but a plain convolution
            layers = [f"sincnet.conv1d.{i}" for i in range(3)] + [f"tdnns.{i}" for i in range(0, 15, 3)]
            network = with_channels(network, [len(state[f"{layer}.weight"]) for layer in layers])
        if any(key.startswith("tdnns") for key in state) and "tdnns.12.weight" not in state:
            network = reduce(network)  # a student has one level less
        network.load_state_dict(state)
    except Exception as error:  # the names and shapes are the file's
        raise DataError(f"{path}: weights of another architecture ({_lines(error)[-1]})") from None
    return network.eval()


def _lines(error: Exception) -> list[str]:
    """An error's message, at least one line of it, each of bounded length."""
    return [line.strip()[:300] for line in f"{type(error).__name__}: {error}".strip().splitlines()]


def taught_by(path: Path) -> str | None:
    """SHA-256 of the teacher's file, if `path` is a student's; DataError if it is no checkpoint or safetensors file."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                notes = file.metadata() or {}
            if "sizes" in notes:
                raise DataError("a pruned embedding, whose sizes would be lost")
            named: str | None = json.loads(notes.get("teacher_sha256", "null"))
            return named
        digest = torch.load(path, map_location="cpu", weights_only=True)["state_dict"].get("objective.teacher_sha256")
        return None if digest is None else bytes(map(int, digest.tolist())).hex()
    except Exception as error:
        raise DataError(f"{path}: not a checkpoint ({_lines(error)[0]})") from None


def mean_of(networks: Sequence[nn.Module]) -> nn.Module:
    """The first of some networks of one architecture, with the mean of all their weights, in double precision.

    Of runs of which one began where another ended (Wortsman et al., "Model soups", ICML 2022). Raises DataError.
    """
    states = [network.state_dict() for network in networks]
    shapes = [{name: value.shape for name, value in state.items()} for state in states]
    if any(shape != shapes[0] for shape in shapes):
        raise DataError("checkpoints of several architectures have no mean")
    total = {name: torch.stack([state[name].double() for state in states]).mean(dim=0) for name in states[0]}
    networks[0].load_state_dict({name: value.to(states[0][name].dtype) for name, value in total.items()})
    return networks[0]


def export(network: nn.Module, path: Path, teacher_sha256: str | None = None) -> None:
    """Write the weights as float16 safetensors with pyannote.audio's keys, atomically.

    Those of a student name the teacher that they belong to, instead of a class of pyannote.audio's.
    """
    architecture, hyperparameters = PYANNOTE[type(network)]
    state = {key: value.detach().half().contiguous() for key, value in network.state_dict().items()}
    metadata = {"architecture": architecture, "hyperparameters": json.dumps(hyperparameters)}
    if teacher_sha256 is not None:
        metadata = {"architecture": "variants.paper.distilled", "teacher_sha256": json.dumps(teacher_sha256)}
    partial = path.with_name(path.name + ".part")
    save_file(state, partial, metadata)
    partial.replace(path)
