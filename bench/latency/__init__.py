"""How long a variant takes. In: models and segmented files. Out: interleaved rounds, and the ratios that they support.

`interleave` measures what `subjects` offers; `results` makes ratios, stages and verdicts of the rounds; `replay` hands
them to pytest-benchmark. Beside time: memory, saved size, and the arithmetic floor.
"""
