"""Models as ONNX files, in DIART's own default session or in one that obeys the run's threads."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from diart.models import EmbeddingModel
    from onnxruntime import InferenceSession, SessionOptions

Finish = Callable[[Path], Path]  # from the exported file to the one to run, in the same folder
SAMPLES, FRAMES = 80_000, 293  # a 5 s chunk at 16 kHz, and the segmentation's frames in it
EMBEDDING_AXES = {
    "waveform": {0: "rows", 2: "samples"},
    "weights": {0: "rows", 1: "frames"},
    "embedding": {0: "rows"},
}


def write_onnx(
    model: nn.Module,
    path: Path,
    inputs: Mapping[str, torch.Tensor],
    output: str,
    axes: Mapping[str, Mapping[int, str]],
    dynamo: bool = False,
) -> Path:
    """Write `model` as ONNX. inputs: examples by name, in order. axes: the dynamic ones of inputs and output by name.

    dynamo: by `torch.export` and onnxscript instead of the tracing exporter, which the paper used.
    """
    dynamic: dict[str, Any] = {  # a keyword of `torch.onnx.export`, each with its type
        "dynamic_axes": {name: dict(named) for name, named in axes.items()}
    }
    if dynamo:
        free = torch.export.Dim.DYNAMIC
        dynamic = {"dynamic_shapes": tuple(dict.fromkeys(axes.get(name, {}), free) for name in inputs)}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing is deprecated upstream, and warns of each shape that it follows
        torch.onnx.export(
            model.eval(),
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=[output],
            opset_version=18 if dynamo else 17,
            dynamo=dynamo,
            verbose=False,
            **dynamic,
        )
    return path


def export(model: nn.Module, path: Path, dynamo: bool = False) -> Path:
    """Write an embedding model with DIART's input and output names; rows, samples and frames stay dynamic."""
    inputs = {"waveform": torch.randn(3, 1, SAMPLES), "weights": torch.rand(3, FRAMES)}
    return write_onnx(model, path, inputs, "embedding", EMBEDDING_AXES, dynamo)


def as_it_is(path: Path) -> Path:
    """The exported file itself."""
    return path


def load_in_diart(model: nn.Module, dynamo: bool = False, finish: Finish = as_it_is) -> EmbeddingModel:
    """Export, then load by DIART's own `EmbeddingModel.from_onnx`, whose session takes its default options."""
    from diart.models import EmbeddingModel

    folder = tempfile.TemporaryDirectory(prefix="diartbench-")
    embedding = EmbeddingModel.from_onnx(finish(export(model, Path(folder.name) / "embedding.onnx", dynamo)))
    embedding.load()
    embedding.folder = folder  # the file lives as long as the model
    return embedding


def session_options(threads: int | None = None, spinning: bool = False) -> SessionOptions:
    """Options of a sequential session; threads: None for torch's number, 0 for the runtime's own choice.

    spinning: whether its threads may spin between runs, as they do by default.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads() if threads is None else threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    return options


def session(path: Path, threads: int | None = None, spinning: bool = False) -> InferenceSession:
    """An ONNX Runtime session on the CPU with these `session_options`."""
    import onnxruntime

    return onnxruntime.InferenceSession(
        str(path), session_options(threads, spinning), providers=["CPUExecutionProvider"]
    )


def pinned(embedding: EmbeddingModel, threads: int | None = None, spinning: bool = False) -> EmbeddingModel:
    """The loaded ONNX `embedding`, its session replaced by one of these options (`session`)."""
    embedding.model.session = session(embedding.model.path, threads, spinning)
    return embedding
