"""The DIART paper's figures (Aperdannier et al.): its Table III, by the names of its rows, and its Tables I and II."""

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

# the student's DER in % by the factor lambda of the teacher's distance, after 50 epochs (Table I)
FACTORS = {0: 60.16, 1: 61.24, 10: 57.83, 100: 52.06, 1000: 50.17, 10000: 52.77, 100000: 53.06}
# and by the epoch of the checkpoint, lambda = 1000 (Table II)
VALIDATION = {19: 53.01, 39: 52.93, 59: 52.88, 79: 49.73, 99: 52.56, 119: 52.54, 139: 52.59}
