"""Variants of the segmentation model, for `--segmentation-variant` and whole-pipeline variants. Model in, model out."""
