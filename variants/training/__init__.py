"""Training recipes: `python -m variants.training --help`.

`embedding.py`, `segmentation.py`: one recipe each, batches and objective (PyTorch only). `fit.py`: Lightning
around any objective. `__main__.py`: one function per command; a new recipe (say, distillation) is a module
beside `embedding.py` and a command there. The other modules are what recipes share.
"""
