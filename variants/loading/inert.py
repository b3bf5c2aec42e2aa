"""What a pickle holds besides plain data, as data: names, objects, tensors still to be read. None can be called.

Memory and time are bounded by the file: what it only claims, or names a million times, is never taken or copied.
"""

from dataclasses import dataclass, field
from typing import Any

MAPPINGS = ("collections.OrderedDict", "collections.defaultdict")
MOST_DIMENSIONS = 64
LONGEST_NAME = 500


@dataclass(frozen=True)
class Name:
    """A class or function that the file names, as "module.name"; never imported."""

    path: str


@dataclass(eq=False)
class Object:
    """What the file would have made by calling `name` with `args`; state and items as it would have got them."""

    name: str
    args: tuple[Any, ...] = ()
    state: Any = None
    items: list[Any] = field(default_factory=list)
    entries: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stored:
    """Torch's reference to a block of numbers beside the pickle: their type ("FloatStorage"), key and count."""

    kind: str
    key: str
    count: int


@dataclass(frozen=True)
class Strided:
    """A tensor as torch pickles it: a view of stored numbers, not read yet."""

    stored: Stored
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def made(what: Any, args: tuple[Any, ...]) -> Any:
    """What calling `what` stands for: a dictionary, a tensor still to be read, or an inert object."""
    path = what.path if isinstance(what, Name) else "a call's own result"
    if path in MAPPINGS and (not args or isinstance(args[0], Name)):
        return {}
    if path in ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor"):
        stored, offset, size, stride = args[:4]
        if not (isinstance(stored, Stored) and _counts(size) and _counts(stride) and _counts((offset,))):
            raise ValueError("a tensor of no proper size")
        return Strided(stored, offset, size, stride)
    if path == "torch._utils._rebuild_parameter":
        return args[0]
    if path in ("copyreg._reconstructor", "copy_reg._reconstructor") and isinstance(args[0], Name):
        return Object(args[0].path, args)  # how protocols 0 and 1 make objects
    return Object(path, args)


def stored(reference: Any) -> Stored:
    """Torch's persistent id of a storage: ("storage", type, key, device, count), in old files a view as well."""
    tag, kind, key, _, count = reference[:5]
    name = kind.path.removeprefix("torch.").removeprefix("storage.") if isinstance(kind, Name) else ""
    if tag not in ("storage", b"storage") or not name or type(key) is not str or not _counts((count,)):
        raise ValueError("a reference to nothing stored")
    if len(reference) > 5 and reference[5] is not None:
        raise ValueError("a view of a storage, as torch wrote them before 2017")
    return Stored(name, key, count)


def _counts(values: Any) -> bool:
    """Whether it is a tuple of counts; a long one, which a file could name a million times, is none."""
    return (
        isinstance(values, tuple)
        and len(values) <= MOST_DIMENSIONS
        and all(type(value) is int and value >= 0 for value in values)
    )
