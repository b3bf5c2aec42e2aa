"""Pickles read as data: a small machine for the pickle language in which nothing can be called, so nothing runs.

Python's own `pickle` calls what a file names; here a name stays a name, and what would be a call is noted as an
`Object`. Opcodes: https://docs.python.org/3/library/pickletools.html
"""

import pickletools
from collections.abc import Callable
from typing import IO, Any

from .inert import LONGEST_NAME, Name, Object, Stored, made, stored

MARK = object()
# a dictionary's keys; others (nested tuples can take for ever to hash) lose their entry
KEYS = (str, bytes, int, bool, float, type(None), Name)
LONGEST_KEY = 10_000  # bits or characters; a file could compare a long one with itself a million times
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


def read(stream: IO[bytes], seen: dict[str, Stored] | None = None) -> Any:
    """The next pickle of `stream` as data: Python's plain types and the classes of `variants.loading.inert`.

    seen: filled with what the pickle refers to, by its key. Raises ValueError and the other errors of bad data
    (IndexError, KeyError, TypeError, AttributeError, EOFError).
    """
    machine = _Machine({} if seen is None else seen)
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name == "STOP":
            return machine.stack.pop()
        machine.step(opcode.name, argument)
    raise EOFError("the pickle has no end")


class _Machine:
    """The stack and the memo. What `pickle` calls `find_class`, `REDUCE` and `__setstate__` only make data here."""

    def __init__(self, seen: dict[str, Stored]) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.seen = seen

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
        entries.update((key, value) for key, value in zip(pairs[::2], pairs[1::2], strict=True) if _is_key(key))

    def _global(self, argument: str) -> None:
        self.stack.append(_named(*argument.split(" ", 1)))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(_named(module, name))

    def _reduce(self, _: Any) -> None:
        args, what = self.stack.pop(), self.stack.pop()
        self.stack.append(made(what, args if isinstance(args, tuple) else (args,)))

    _newobj = _reduce

    def _newobj_ex(self, _: Any) -> None:
        keywords = self.stack.pop()
        self._reduce(None)
        if isinstance(self.stack[-1], Object):
            self.stack[-1].state = keywords

    def _inst(self, argument: str) -> None:
        self.stack.append(made(_named(*argument.split(" ", 1)), tuple(self._above_mark())))

    def _obj(self, _: Any) -> None:
        what, *args = self._above_mark()
        self.stack.append(made(what, tuple(args)))

    def _build(self, _: Any) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Object):
            self.stack[-1].state = state

    def _binpersid(self, _: Any) -> None:
        self.stack.append(found := stored(self.stack.pop()))
        self.seen[found.key] = found

    def _persid(self, argument: str) -> None:
        raise ValueError(f"a reference to {argument!r}, which is nothing stored")


def _named(module: Any, name: Any) -> Name:
    """The name of a class; ValueError for what is none."""
    if not (type(module) is type(name) is str and len(module) + len(name) < LONGEST_NAME):
        raise ValueError("a class without a proper name")
    return Name(f"{module}.{name}")


def _is_key(value: Any) -> bool:
    size = len(value) if isinstance(value, (str, bytes)) else value.bit_length() if isinstance(value, int) else 0
    return type(value) in KEYS and size <= LONGEST_KEY
