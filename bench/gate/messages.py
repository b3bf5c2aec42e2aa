"""What the gate and its worker for another tree say to each other; docs/gate-protocol.md says when and why.

One line of JSON, the name around the fields: `{"Measure": {"kind": "pipeline", "name": "best", "number": 0}}`.
"""

import json
from dataclasses import asdict, dataclass, fields, is_dataclass
from types import UnionType
from typing import Any, get_args, get_origin

from .contamination import Usage

VERSION = 3
Value = str | int | float | bool | None  # of an option


@dataclass(frozen=True)
class Hello:
    """The worker's first line: the version of this protocol that it speaks."""

    version: int


@dataclass(frozen=True)
class Open:
    """Load that tree. options: of the command line by name. names: of the variants. size, lead: items of a block."""

    tree: str
    options: dict[str, Value]
    names: list[str]
    size: int
    lead: int


@dataclass(frozen=True)
class Opened:
    """The tree is loaded. names: variants that it runs. broken: why it cannot run others. registered: all it knows."""

    names: list[str]
    broken: dict[str, str]
    registered: list[str]


@dataclass(frozen=True)
class Refused:
    """The tree cannot be measured."""

    why: str


@dataclass(frozen=True)
class Measure:
    """Measure that block of one subject."""

    kind: str
    name: str
    number: int


@dataclass(frozen=True)
class Block:
    """The timed rounds of one subject in one block: seconds, stages, usage, and whether it is pinned."""

    seconds: list[float]
    stages: list[dict[str, float]]
    usage: list[Usage]
    pinned: bool


@dataclass(frozen=True)
class Count:
    """Count what does not jitter of a variant."""

    name: str


@dataclass(frozen=True)
class Counted:
    """The counts of a variant by name, none of those that the tree does not know."""

    counts: dict[str, float]


@dataclass(frozen=True)
class Raised:
    """The subject raised an error."""

    why: str


@dataclass(frozen=True)
class Malformed:
    """The request was not understood, or came at the wrong time."""

    why: str


Request = Open | Measure | Count
Answer = Hello | Opened | Refused | Block | Counted | Raised | Malformed


class ProtocolError(ValueError):
    """A line is no such message: why."""


def line(message: Request | Answer) -> str:
    """The message as JSON, without the end of the line."""
    return json.dumps({type(message).__name__: asdict(message)})


def request(text: str | bytes) -> Request:
    """The request in a line. Raises ProtocolError."""
    found: Request = _message(text, get_args(Request))
    return found


def answer(text: str | bytes) -> Answer:
    """The answer in a line. Raises ProtocolError."""
    found: Answer = _message(text, get_args(Answer))
    return found


def _message(text: str | bytes, kinds: tuple[type, ...]) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"no JSON ({error})") from None
    known = {kind.__name__: kind for kind in kinds}
    if not isinstance(value, dict) or len(value) != 1 or (name := next(iter(value))) not in known:
        raise ProtocolError(f"{value!r:.60}: expected one of {', '.join(known)} with its fields")
    return _checked(known[name], value[name], name)


def _checked(kind: Any, value: Any, where: str) -> Any:
    """`value`, as JSON has it, as the type `kind`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is UnionType and type(value) in arguments:
        return value
    if origin is list and isinstance(value, list):
        return [_checked(arguments[0], one, f"{where}[{i}]") for i, one in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {key: _checked(arguments[1], one, f"{where}.{key}") for key, one in value.items()}
    if isinstance(kind, type) and is_dataclass(kind) and isinstance(value, dict):
        types = {field.name: field.type for field in fields(kind)}
        if odd := sorted(types.keys() ^ value.keys()):
            raise ProtocolError(f"{where}: its fields are {', '.join(types)}; missing or unknown: {', '.join(odd)}")
        return kind(**{name: _checked(types[name], one, f"{where}.{name}") for name, one in value.items()})
    if type(value) is kind or (kind is float and type(value) is int):
        return value
    raise ProtocolError(f"{where}: {value!r:.60} is no {getattr(kind, '__name__', kind)}")
