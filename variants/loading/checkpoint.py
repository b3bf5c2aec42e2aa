"""Checkpoints in pyannote.audio's own format. The file is only read: nothing that it names is imported or run."""

import contextlib
import hashlib
import inspect
import io
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from variants.errors import UserError
from variants.provenance import Provenance, stamp
from variants.registry import Model

from . import torchfile
from .architectures import architecture
from .bounds import check_claims
from .inert import LONGEST_NAME, Object, Strided
from .kinds import ZIP, UnreadableError, describe
from .plain import NotPlainError, plain

TRUST = "--trust-checkpoint loads it all the same, and runs what the file names"


def load_checkpoint(kind: Model, path: Path, source: str, trust: bool = False, sha256: str | None = None) -> nn.Module:
    """The model of a file, or of `pytorch_model.bin` in a folder, in eval mode and stamped.

    trust: unpickle it, import what it names. sha256: what it must have. Raises UserError, one line.
    """
    path = path / "pytorch_model.bin" if path.is_dir() else path
    where = f"--{kind} {source}: {'it' if str(path) == source else path}"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{where} cannot be read: {error.strerror or error}") from None
    digest = hashlib.sha256(data).hexdigest()
    if sha256 not in (None, digest):
        raise UserError(f"{where} is damaged (its SHA-256 is not the known one): `python -m variants fetch {source}`")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # versions older than ours; pyannote warns and loads
        try:
            model = _trusted(kind, path, data, source) if trust else _read(kind, data, source)
        except UnreadableError as error:
            raise UserError(f"{where} {error}") from None
    return stamp(model.eval(), Provenance(source, digest, trained=True))


def _read(kind: Model, data: bytes, source: str) -> nn.Module:
    """Build the model from inert data. Raises UnreadableError, or UserError for an architecture that is not listed."""
    file = torchfile.read(data)
    module, name = named_architecture(file.content)
    made = architecture(kind, module, name, source)
    try:
        settings = plain(file.content.get("hyper_parameters") or {})
        known = inspect.signature(made).parameters.keys() - {"task"}
        settings = {key: value for key, value in settings.items() if key in known}
        specifications = _specifications(file.content["pyannote.audio"]["specifications"])
        views = _views(file.content["state_dict"])
        check_claims(name, settings, specifications, views)

        def build() -> nn.Module:
            model = made(**settings)
            model.specifications = specifications
            model.setup()
            return model  # type: ignore[no-any-return]  # pyannote ships no types

        if name != "XVectorMFCC":  # whose front is not made for it: sizes first, before a file's claims take memory
            with torch.device("meta"):
                build().load_state_dict({key: torch.empty(view.size) for key, view in views.items()}, assign=True)
        model = build()
        model.load_state_dict(file.tensors(views))
    except NotPlainError as error:
        raise UnreadableError(
            f"holds a {error} among its settings or weights, which is no plain data; {TRUST}"
        ) from None
    except Exception as error:  # the sizes and settings are the file's: a stock class may raise anything
        raise UnreadableError(f"does not fit its architecture {name}: {_line(error)}") from None
    return model


def named_architecture(content: Any) -> tuple[str, str]:
    """Module and class that a checkpoint's content names; UnreadableError, saying what it is, if it names none."""
    try:
        named = content["pyannote.audio"]["architecture"]
        module, name = named["module"], named["class"]
        if isinstance(module, str) and isinstance(name, str) and len(module) + len(name) < LONGEST_NAME:
            return module, name
        raise TypeError
    except (KeyError, TypeError, IndexError):
        said = "is not a pyannote.audio checkpoint (names no architecture)"
        if isinstance(content, Mapping) and (keys := [key for key, v in content.items() if isinstance(v, Strided)]):
            said += f": it holds weights alone, {len(keys)} tensors such as {str(keys[0])[:100]!r}"
        elif isinstance(content, Object):
            said += f": it holds a whole {content.name}; {TRUST}" if content.entries else f": it holds a {content.name}"
        raise UnreadableError(said) from None


def _views(state: Any) -> dict[str, Strided]:
    """The weights of a state_dict, less those of a training loss."""
    for value in state.values():
        if not isinstance(value, Strided):
            raise NotPlainError(value.name if isinstance(value, Object) else type(value).__name__)
    return {key: value for key, value in state.items() if not key.startswith("loss_func.")}


def _specifications(found: Any) -> Any:
    """pyannote's Specifications from their inert form: the enumerations by value, the rest as plain data."""
    from pyannote.audio.core.task import Problem, Resolution, Specifications

    if not isinstance(found, Object) or not found.name.endswith(".Specifications") or not isinstance(found.state, dict):
        raise NotPlainError(found.name if isinstance(found, Object) else type(found).__name__)
    state = {key: value for key, value in found.state.items() if key in inspect.signature(Specifications).parameters}
    problem, resolution = Problem(*state.pop("problem").args), Resolution(*state.pop("resolution").args)
    return Specifications(problem, resolution, **plain(state))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


@contextlib.contextmanager
def safe_globals() -> Iterator[None]:
    """Let `torch.load(weights_only=True)` read the plain-data classes that every pyannote checkpoint holds."""
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from torch.torch_version import TorchVersion

    with torch.serialization.safe_globals([Specifications, Problem, Resolution, TorchVersion]):
        yield


def _trusted(kind: Model, path: Path, data: bytes, source: str) -> nn.Module:
    """Load by pyannote's own means, which unpickle and import what the file names: the user asked for it."""
    from pyannote.audio import Model

    if not data.startswith((ZIP, b"\x80")):
        raise UnreadableError(describe(data))
    with _unpickling():
        try:
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=False)
        except Exception as error:  # whatever a damaged file makes it raise
            raise UnreadableError(f"is damaged or no checkpoint: {_line(error)}") from None
        module, name = named_architecture(content)
        architecture(kind, module, name, source, trust=True)
        try:
            return Model.from_pretrained(path)  # type: ignore[no-any-return]  # pyannote ships no types
        except Exception as error:
            raise UnreadableError(f"does not fit its architecture {name}: {_line(error)}") from None


@contextlib.contextmanager
def _unpickling() -> Iterator[None]:
    """Let pyannote's torch.load, which takes no argument for it, unpickle anything."""
    name = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
