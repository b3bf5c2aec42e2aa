"""How right a variant is. In: its labels and embeddings, and the baseline's. Out: DER, disagreement and cosine by file.

`der` scores one file; `scoring` all variants on all files, from this run or from the `cache`; `tune` finds thresholds.
`blocks` splits a file's errors in time; `verdict` judges them over perturbations; `coverage` tries its intervals.
"""
