"""Training recipes: `python -m variants.training --help`.

`embedding.py`, `segmentation.py`, `distill.py`: one recipe each, batches and objective (PyTorch only);
`arcface_task.py`: the paper's way as a pyannote task. `fit.py`: Lightning around any objective. `__main__.py`: one
function per command; a new recipe is a module beside `embedding.py` and a command there. The other modules are
what recipes share.
"""
