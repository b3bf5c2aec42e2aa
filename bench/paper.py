"""The DIART paper's figures: its Table III (Aperdannier et al.), by the names of this project's variants."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """DER in %, mean pipeline latency in seconds, saved size in MiB (the paper writes MB)."""

    der: float
    latency: float
    size: float


TABLE_III = {
    "Baseline": Row(44.859316, 0.065127, 16.62),
    "knowledge distillation": Row(49.726088, 0.058739, 13.61),
    "+ structured pruning": Row(49.793409, 0.058558, 13.61),
    "+ unstructured pruning": Row(50.20256, 0.059035, 13.61),
    "+ layer fusion": Row(49.726088, 0.054422, 13.61),
    "+ int8 quantization": Row(49.727625, 0.054007, 9.22),
    "+ ONNX": Row(49.726088, 0.090893, 13.62),
}
