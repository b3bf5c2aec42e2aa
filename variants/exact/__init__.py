"""Techniques that keep the baseline's embeddings up to rounding, and do less work for them. Model in, model out."""
