"""Variants of the segmentation model, for `--segmentation-variant` and whole-pipeline variants. Model in, model out.

A file for each row, named like it, less `segmentation-`. All but those in int8 keep the labels.
"""

from . import stock, frozen, cached, onnx, cached_onnx, int8, cached_int8  # noqa: F401, I001 - in the order of the tables
from . import wavlm_onnx, wavlm_int8  # noqa: F401
