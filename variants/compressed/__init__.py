"""Techniques that trade a bounded loss for time: int8, bfloat16, removed channels. Model in, model out."""
