"""How much a pipeline keeps from chunk to chunk."""

import sys
from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

import numpy as np
import torch

SKIPPED = (type, torch.nn.Module, FunctionType, MethodType, BuiltinFunctionType, ModuleType)


def state_bytes(*roots: object) -> int:
    """Bytes of all arrays, tensors and containers that are reached from `roots`; what is shared counts once.

    Goes through containers and objects' attributes, but not into modules, functions and classes. Of a view it is the
    whole array that counts: that is what is kept alive.
    """
    seen: set[int] = set()
    kept: list[object] = []  # so that no identity is used twice while we count
    left, total = list(roots), 0
    while left:
        thing = left.pop()
        while isinstance(thing, np.ndarray) and thing.base is not None:
            thing = thing.base
        key = thing.untyped_storage().data_ptr() if isinstance(thing, torch.Tensor) else id(thing)
        if key in seen or isinstance(thing, SKIPPED):
            continue
        seen.add(key)
        kept.append(thing)
        if isinstance(thing, torch.Tensor):
            total += thing.untyped_storage().nbytes()
        elif isinstance(thing, np.ndarray):
            total += thing.nbytes
        else:
            total += sys.getsizeof(thing)
            if isinstance(thing, Mapping):
                left += [*thing.keys(), *thing.values()]
            elif isinstance(thing, list | tuple | set | frozenset):
                left += thing
            if hasattr(thing, "__dict__"):
                left.append(vars(thing))
    return total
