"""Techniques whose work grows with the step, not with the chunk: state is carried from chunk to chunk.

Model in, model out. A chunk that continues none of the streams kept gives what the stock model gives.
"""
