"""Inert objects of a checkpoint back to plain data: numbers, strings, lists and dictionaries, and nothing else."""

from typing import Any

import numpy as np

from .inert import Name, Object

MOST = 100_000  # values of one checkpoint's settings; structures that refer to themselves have no end
NUMPY_SCALAR = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
NUMBERS = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}


class NotPlainError(Exception):
    """Something that stands for no plain data; the message is its class."""


def plain(value: Any) -> Any:
    """`value` as plain data: omegaconf's containers, NumPy's scalars and subclasses of str and dict are unwrapped.

    Raises NotPlainError with the class of anything else.
    """
    left = [MOST]

    def convert(value: Any, depth: int) -> Any:
        left[0] -= 1
        if left[0] < 0 or depth > 50:
            raise NotPlainError("structure without an end")
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, dict):
            return {key: convert(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(convert(item, depth + 1) for item in value)
        if isinstance(value, Object):
            return convert(_unwrapped(value), depth + 1)
        raise NotPlainError(value.path if isinstance(value, Name) else type(value).__name__)

    return convert(value, 0)


def _unwrapped(thing: Object) -> Any:
    """What an inert object of a known kind holds."""
    state = thing.state if isinstance(thing.state, dict) else {}
    if thing.name.startswith("omegaconf."):
        for key in ("_content", "_val"):
            if key in state:
                return state[key]
    if thing.name in NUMPY_SCALAR:
        return _number(*thing.args)
    if thing.name in ("builtins.set", "__builtin__.set") and len(thing.args) == 1:
        return thing.args[0]
    if thing.name == "torch.torch_version.TorchVersion":
        return thing.args[0]
    if thing.entries and not thing.args:  # a subclass of dict, such as Lightning's AttributeDict
        return thing.entries
    raise NotPlainError(thing.name)


def _number(dtype: Any, data: Any) -> Any:
    """NumPy's scalar of that pickled dtype and bytes (which protocol 2 pickles as an encoded string)."""
    if isinstance(data, Object) and data.name == "_codecs.encode" and isinstance(data.args[0], str):
        data = data.args[0].encode("latin1")
    code = dtype.args[0] if isinstance(dtype, Object) and dtype.name == "numpy.dtype" else None
    order = dtype.state[1] if code in NUMBERS and isinstance(dtype.state, tuple) else "|"
    if code not in NUMBERS or order not in ("<", ">", "|") or not isinstance(data, bytes):
        raise NotPlainError("numpy scalar of an unknown type")
    return np.frombuffer(data, np.dtype(f"{order}{code}"), count=1)[0].item()
