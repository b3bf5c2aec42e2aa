"""The paper's ONNX export, in DIART's own default session and in one that obeys the run's threads."""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .registry import variant

SAMPLES, FRAMES = 80_000, 293  # a 5 s chunk at 16 kHz, and the segmentation's frames in it


def export(model: nn.Module, path: Path) -> Path:
    """Write `model` as ONNX with DIART's input and output names; rows and weight frames stay dynamic."""
    waveform, weights = torch.randn(3, 1, SAMPLES), torch.rand(3, FRAMES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter, which the paper used, is deprecated upstream
        torch.onnx.export(
            model.eval(),
            (waveform, weights),
            str(path),
            input_names=["waveform", "weights"],
            output_names=["embedding"],
            dynamic_axes={
                "waveform": {0: "rows"},
                "weights": {0: "rows", 1: "frames"},
                "embedding": {0: "rows"},
            },
            opset_version=17,
            dynamo=False,
        )
    return path


def load_in_diart(model: nn.Module) -> Any:
    """Export, then load by DIART's own `EmbeddingModel.from_onnx`, whose session takes its default options."""
    from diart.models import EmbeddingModel

    folder = tempfile.TemporaryDirectory(prefix="diartbench-")
    embedding = EmbeddingModel.from_onnx(export(model, Path(folder.name) / "embedding.onnx"))
    embedding.load()
    embedding.folder = folder  # the file lives as long as the model
    return embedding


@variant(
    "distilled-onnx",
    title="+ ONNX",
    parent="distilled",
    paper="+ ONNX",
    exact=True,
    tolerance=6.0,
    needs=["onnx", "onnxruntime"],
    pinned=False,
)
def onnx_default(model: nn.Module) -> Any:
    """As the paper did: DIART's loader and default session, which picks its own threads and lets them spin."""
    return load_in_diart(model)


@variant(
    "distilled-onnx-pinned",
    title="+ ONNX, pinned",
    parent="distilled",
    exact=True,
    tolerance=6.0,
    needs=["onnx", "onnxruntime"],
)
def onnx_pinned(model: nn.Module) -> Any:
    """The same file in a session with torch's number of threads, none of which spins."""
    import onnxruntime

    embedding = load_in_diart(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    embedding.model.session = onnxruntime.InferenceSession(
        str(embedding.model.path), options, providers=["CPUExecutionProvider"]
    )
    return embedding
