"""Pickles read as data. A small machine for the pickle language in which nothing can be called, so nothing runs.

Python's own `pickle` calls what a file names; here a name stays a name, and what would be a call is noted as an
`Object`. Memory is bounded by the file: sizes that a file only claims are never allocated.
Opcodes: https://docs.python.org/3/library/pickletools.html
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any


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


MARK = object()
# a dictionary's keys; others (nested tuples can take for ever to hash) lose their entry
KEYS = (str, bytes, int, bool, float, type(None), Name)
LONGEST_NAME, MOST_DIMENSIONS = 500, 64
MAPPINGS = ("collections.OrderedDict", "collections.defaultdict")
IGNORED = ("PROTO", "FRAME")
EMPTY: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list, "EMPTY_SET": list, "EMPTY_DICT": dict,
}  # fmt: skip
LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE",
    "BINUNICODE", "BINUNICODE8",
}  # fmt: skip


def read(stream: IO[bytes], stored: dict[str, Stored] | None = None) -> Any:
    """The next pickle of `stream` as data: Python's plain types and the classes above.

    stored: filled with what the pickle refers to, by its key. Raises ValueError and the other errors of bad data
    (IndexError, KeyError, TypeError, AttributeError, EOFError).
    """
    machine = _Machine({} if stored is None else stored)
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name == "STOP":
            return machine.stack.pop()
        machine.step(opcode.name, argument)
    raise EOFError("the pickle has no end")


class _Machine:
    """The stack and the memo. What `pickle` calls `find_class`, `REDUCE` and `__setstate__` only make data here."""

    def __init__(self, stored: dict[str, Stored]) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.stored = stored

    def step(self, name: str, argument: Any) -> None:
        """Carry out one opcode."""
        if name in LITERALS:
            self.stack.append(argument)
        elif name in EMPTY:
            self.stack.append(EMPTY[name]())
        elif name not in IGNORED:
            do = getattr(self, f"_{name.lower()}", None)
            if do is None:
                raise ValueError(f"pickle opcode {name} is not supported")
            do(argument)

    def _above_mark(self) -> list[Any]:
        start = len(self.stack) - 1
        while self.stack[start] is not MARK:
            start -= 1
            if start < 0:
                raise ValueError("a mark is missing")
        found = self.stack[start + 1 :]
        del self.stack[start:]
        return found

    def _mark(self, _: Any) -> None:
        self.stack.append(MARK)

    def _pop(self, _: Any) -> None:
        self.stack.pop()

    def _pop_mark(self, _: Any) -> None:
        self._above_mark()

    def _dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def _put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    _binput = _long_binput = _put

    def _memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    _binget = _long_binget = _get

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._above_mark()))

    def _last(self, count: int) -> None:
        if len(self.stack) < count:
            raise IndexError("the stack is too short")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def _tuple1(self, _: Any) -> None:
        self._last(1)

    def _tuple2(self, _: Any) -> None:
        self._last(2)

    def _tuple3(self, _: Any) -> None:
        self._last(3)

    def _list(self, _: Any) -> None:
        self.stack.append(self._above_mark())

    _frozenset = _list

    def _dict(self, _: Any) -> None:
        pairs = self._above_mark()
        self.stack.append({})
        self._set(pairs)

    def _append(self, _: Any) -> None:
        self._extend([self.stack.pop()])

    def _appends(self, _: Any) -> None:
        self._extend(self._above_mark())

    _additems = _appends

    def _extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        (target.items if isinstance(target, Object) else target).extend(values)

    def _setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def _setitems(self, _: Any) -> None:
        self._set(self._above_mark())

    def _set(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        entries = target.entries if isinstance(target, Object) else target
        entries.update((key, value) for key, value in zip(pairs[::2], pairs[1::2], strict=True) if type(key) in KEYS)

    def _global(self, argument: str) -> None:
        self.stack.append(Name(argument.replace(" ", ".")))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not (type(module) is type(name) is str and len(module) + len(name) < LONGEST_NAME):
            raise ValueError("a class without a proper name")
        self.stack.append(Name(f"{module}.{name}"))

    def _reduce(self, _: Any) -> None:
        args, what = self.stack.pop(), self.stack.pop()
        self.stack.append(_made(what, args if isinstance(args, tuple) else (args,)))

    _newobj = _reduce

    def _newobj_ex(self, _: Any) -> None:
        keywords = self.stack.pop()
        self._reduce(None)
        if isinstance(self.stack[-1], Object):
            self.stack[-1].state = keywords

    def _inst(self, argument: str) -> None:
        self.stack.append(_made(Name(argument.replace(" ", ".")), tuple(self._above_mark())))

    def _obj(self, _: Any) -> None:
        what, *args = self._above_mark()
        self.stack.append(_made(what, tuple(args)))

    def _build(self, _: Any) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Object):
            self.stack[-1].state = state

    def _binpersid(self, _: Any) -> None:
        self.stack.append(found := _stored(self.stack.pop()))
        self.stored[found.key] = found

    def _persid(self, argument: str) -> None:
        raise ValueError(f"a reference to {argument!r}, which is nothing stored")


def _made(what: Any, args: tuple[Any, ...]) -> Any:
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


def _stored(reference: Any) -> Stored:
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
