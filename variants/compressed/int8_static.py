"""int8 that is worth it: convolutions, LSTM and linear layers quantised in an ONNX file, their ranges calibrated."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from variants.arrays import Floats
from variants.exact.row_graph import row_graph
from variants.registry import variant
from variants.runtime.cpu import multiplies_int8
from variants.runtime.onnx import Finish, load_in_diart, pinned

from .calibration import Calibration, calibration
from .equalised import equalise

if TYPE_CHECKING:
    from diart.models import EmbeddingModel

PERCENTILE = 99.999  # of an activation's values that its range holds: 99.99 clips what rare chunks need
STATIC, ACTIVATIONS = ("Conv", "Gemm", "MatMul"), ("LeakyRelu", "Relu")
Feeds = Sequence[Mapping[str, Floats]]


def quantisable(path: Path) -> list[str]:
    """Names of the nodes that int8 pays for: convolutions, linear layers and LSTMs with weights."""
    import onnx

    graph = onnx.load(str(path)).graph
    weights = {tensor.name for tensor in graph.initializer}
    return [n.name for n in graph.node if n.op_type in (*STATIC, "LSTM") and n.input[1] in weights]


def sensitive(path: Path) -> set[str]:
    """The nodes to leave in float: those that cost most for each millisecond saved, until a budget is kept.

    By `python -m bench.studies sensitivity`, on embedded `dev`. Of embeddings 0.01 of the 5 % quantile of cosines: that
    takes convolutions of the waveform itself. Of a segmentation 0.15 % of the scores across 0.5: that takes all that is
    no LSTM. What it is on other speech: docs/int8.md.
    """
    import onnx

    graph = onnx.load(str(path)).graph
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    if any(n.op_type == "LSTM" for n in graph.node):
        return {n.name for n in graph.node if n.op_type in STATIC}
    return {n.name for n in graph.node if n.op_type == "Conv" and shapes.get(n.input[1], [0, 0])[1] == 1}


def activations_behind(path: Path, nodes: Collection[str]) -> set[str]:
    """ReLUs, leaky ones too, right behind `nodes`: between two quantised layers they stay in int8."""
    import onnx

    graph = onnx.load(str(path)).graph
    outputs = {output for n in graph.node if n.name in nodes for output in n.output}
    return {n.name for n in graph.node if n.op_type in ACTIVATIONS and n.input[0] in outputs}


def quantise(
    path: Path,
    feeds: Feeds,
    notes: Mapping[str, str],
    nodes: Collection[str] | None = None,
    percentile: float = PERCENTILE,
) -> Path:
    """Write the int8 form of an ONNX file beside it, and return it; LSTMs are quantised dynamically.

    feeds: inputs by name, from which the activations' ranges are taken. nodes: what to quantise; None: all that is
    `quantisable` and not `sensitive`. percentile: of an activation's values that its range holds. Activations are
    unsigned, weights signed and by channel. Without instructions for int8, weights get seven bits, as sums of two
    products would saturate (onnxruntime's `reduce_range`). What was made once in this process is not made again.
    """
    import onnx

    chosen = set(quantisable(path)) - sensitive(path) if nodes is None else set(nodes)
    spare, target = not multiplies_int8(), path.with_suffix(".int8.onnx")
    key = hashlib.sha256(repr((spare, percentile, sorted(chosen), sorted(notes.items()))).encode() + path.read_bytes())
    for name, value in (item for feed in feeds for item in feed.items()):
        key.update(f"{name} {value.shape} {value.dtype}".encode() + value.tobytes())
    if key.digest() not in _made:
        _quantise(path, target, feeds, chosen, spare, percentile)
        model = onnx.load(str(target))
        kinds = {n.op_type for n in onnx.load(str(path)).graph.node if n.name in chosen}
        ranges = {**notes, "calibration_method": f"percentile {percentile:g}"} if kinds - {"LSTM"} else {}
        onnx.helper.set_model_props(model, {**ranges, "calibration_weight_bits": "7" if spare else "8"})
        _made[key.digest()] = model.SerializeToString()
    target.write_bytes(_made[key.digest()])
    return target


_made: dict[bytes, bytes] = {}  # quantised files by the digest of what they were made of: calibration takes its time


def _quantise(path: Path, target: Path, feeds: Feeds, chosen: set[str], spare: bool, percentile: float) -> None:
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    lstms = {n.name for n in onnx.load(str(path)).graph.node if n.op_type == "LSTM"} & chosen
    common: dict[str, Any] = {  # keywords of both functions
        "weight_type": QuantType.QInt8,
        "reduce_range": spare,
    }
    prepared = path.with_suffix(".prepared.onnx")
    with contextlib.redirect_stdout(io.StringIO()):  # the calibrator tells of its progress
        quant_pre_process(str(path), str(prepared), skip_optimization=True, skip_symbolic_shape=True)
        if lstms:
            quantize_dynamic(str(prepared), str(prepared), ["LSTM"], nodes_to_quantize=sorted(lstms), **common)
        if not chosen - lstms:  # an empty list would mean all nodes
            prepared.replace(target)
            return
        quantize_static(
            str(prepared),
            str(target),
            _Reader(feeds),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[*STATIC, *ACTIVATIONS],
            nodes_to_quantize=sorted((chosen - lstms) | activations_behind(path, chosen)),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={"CalibPercentile": percentile},
            **common,
        )


class _Reader:
    """`feeds` as onnxruntime's calibrator takes them."""

    def __init__(self, feeds: Feeds) -> None:
        self.feeds = iter(feeds)

    def get_next(self) -> Mapping[str, Floats] | None:
        return next(self.feeds, None)


def row_feeds(found: Calibration) -> tuple[Feeds, dict[str, str]]:
    """DIART's rows of every calibration chunk, and what to note of it."""
    feeds = [
        {"waveform": np.repeat(waveform[None], len(weights), axis=0), "weights": weights}
        for waveform, weights in zip(found.waveforms, found.weights, strict=True)
    ]
    return feeds, found.notes()


def chunk_feeds() -> tuple[Feeds, dict[str, str]]:
    """The calibration chunks as a segmentation's graph takes them, and what to note of them."""
    found = calibration()
    return [{"inputs": waveform[None]} for waveform in found.waveforms], found.notes()


def quantised(feeds: Feeds, notes: Mapping[str, str], nodes: Callable[[Path], Collection[str]] | None = None) -> Finish:
    """`quantise` by these feeds, as what finishes an exported file; nodes: of a file, in place of its own choice."""
    return lambda path: quantise(path, feeds, notes, nodes and nodes(path))


@variant("int8-static", title="int8, static", parent="shared-folded", tolerance=0.3, needs=["onnx", "onnxruntime"])
@variant(
    "distilled-int8-static",
    title="+ int8, static",
    parent="distilled-shared-folded",
    tolerance=0.3,
    needs=["onnx", "onnxruntime"],
    default=False,
)
@singledispatch
def int8_static(model: nn.Module) -> EmbeddingModel:
    """The graph of `onnx-tuned` with int8 convolutions and linear layer, the sinc filters in float."""
    return pinned(load_in_diart(row_graph(equalise(model)), finish=quantised(*row_feeds(calibration()))))
