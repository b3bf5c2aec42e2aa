"""The DIART pipeline under test. In: recordings and models. Out: chunks, their segmentation and embeddings, and labels.

`staged` is the stock pipeline with a clock between its stages; `diarize` runs a whole file through it, untimed.
`perturb` changes a recording in ways that mean nothing.
"""
