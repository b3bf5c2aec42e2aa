"""Anyone's own embedding model as a variant, without a conftest.py: what a function returns, or an ONNX file."""

import hashlib
import importlib
import io
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from .errors import UserError
from .provenance import Provenance, provenance_of, stamp
from .registry import Built, Variant, get, names

TOLERANCE = 0.5  # DER points, as nobody declares any; a variant in a conftest.py does


def from_factory(spec: str) -> Variant:
    """The variant `spec`, "module:function", whose model that function returns; it takes no arguments.

    The module is looked for in the current folder, too. Raises UserError if there is no such function.
    """
    module, colon, name = spec.partition(":")
    if not (module and colon and name):
        raise UserError(f"--embedding-factory {spec}: name it as module:function")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever somebody's own module raises
        raise UserError(f"--embedding-factory {spec}: {type(error).__name__}: {error}") from None
    if not callable(function):
        raise UserError(f"--embedding-factory {spec}: {name} is a {type(function).__name__}, not a function")

    @wraps(function)
    def build(_: object) -> Built:
        model: Built = function()
        if not callable(model):
            raise UserError(f"{spec} returned a {type(model).__name__}; it must return a model(waveforms, weights)")
        if provenance_of(model) is None:
            stamp(model, Provenance(spec, _digest(model), trained=True))
        return model

    return _enter("--embedding-factory", spec, spec, (), build)


def from_onnx(file: str) -> Variant:
    """The variant called like `file`, which it runs in a session of torch's number of threads that do not spin.

    Its inputs are waveforms (rows, 1, samples) and weights (rows, frames), told apart by their ranks, its first output
    embeddings (rows, dimension). Raises UserError for a file that is missing, or is no such graph.
    """
    path = Path(file).absolute()
    if not path.is_file():
        raise UserError(f"--onnx {file}: no such file")

    def build(_: object) -> Built:
        from diart.models import EmbeddingModel

        from .runtime.onnx import session

        opened = session(path)
        model = EmbeddingModel.from_onnx(path, _inputs(file, opened), opened.get_outputs()[0].name)
        model.load()
        model.model.session = opened
        return stamp(model, Provenance(file, hashlib.sha256(path.read_bytes()).hexdigest(), trained=True))

    name = "".join("-" if letter in ", []" else letter for letter in path.name)
    return _enter("--onnx", file, name, ["onnxruntime"], build)


def _digest(model: Built) -> str:
    """SHA-256 of a module's weights; of none, for anything else."""
    import torch

    buffer = io.BytesIO()
    torch.save(model.state_dict() if isinstance(model, torch.nn.Module) else {}, buffer)
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def _inputs(file: str, session: Any) -> list[str]:
    """Names of a graph's waveforms and weights, in this order."""
    ranks = {len(one.shape): one.name for one in session.get_inputs()}
    if len(session.get_inputs()) != 2 or set(ranks) != {2, 3}:
        found = ", ".join(f"{one.name} {tuple(one.shape)}" for one in session.get_inputs())
        raise UserError(
            f"--onnx {file}: its inputs are {found}; an embedding model takes waveforms (rows, 1, samples) "
            "and weights (rows, frames)"
        )
    return [ranks[3], ranks[2]]


def _enter(option: str, given: str, name: str, needs: list[str] | tuple[()], build: Callable[[Any], Built]) -> Variant:
    """Register a model under `name`, once; UserError if another has it, or if it is unfit as a name."""
    title = f"{option} {given}"
    if name not in names() or get(name).title != title:
        try:
            Variant(name, title=title, parent=None, tolerance=TOLERANCE, needs=needs, default=False)(build)
        except ValueError as error:
            raise UserError(f"{title}: {error}") from None
    return get(name)
