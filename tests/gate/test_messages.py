"""Messages between the gate and its worker: what is written is read again, and nothing else is."""

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.gate import messages
from bench.gate.contamination import Usage
from bench.gate.messages import Answer, Block, Measure, Open, ProtocolError, Request

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.from_type(Request))
def test_requests_are_read_as_written(request: Request) -> None:
    assert repr(messages.request(messages.line(request))) == repr(request)  # `==` of NaN is false


@given(st.from_type(Answer))
def test_answers_are_read_as_written(answer: Answer) -> None:
    text = messages.line(answer)
    assert "\n" not in text and repr(messages.answer(text.encode())) == repr(answer)


FIELDS = JSON | st.fixed_dictionaries({"kind": JSON, "name": JSON, "number": JSON})


@given(st.text() | st.binary() | st.dictionaries(st.sampled_from(["Open", "Measure", "Stop"]), FIELDS).map(json.dumps))
def test_a_line_is_a_request_or_a_protocol_error(text: str | bytes) -> None:
    try:
        found = messages.request(text)
    except ProtocolError:
        return
    assert json.loads(messages.line(found)) == json.loads(text)


MEASURE = '{"Measure": {"kind": "pipeline", "name": "best", "number": %s}}'
BLOCK = '{"Block": {"seconds": [%s], "stages": [{"a": 1}], "usage": [%s], "pinned": true}}'
USAGE = '{"wall": 1, "cpu": 0.5, "switches": 0, "steal": 0.0, "pressure": %s, "throttled": 0.0}'


def test_lines_written_by_hand() -> None:
    assert messages.request(MEASURE % "3") == Measure("pipeline", "best", 3)
    assert messages.line(Measure("pipeline", "best", 3)) == MEASURE % "3"
    used = Usage(1, 0.5, 0, 0.0, None)
    assert messages.answer(BLOCK % ("0.5, 2", USAGE % "null")) == Block([0.5, 2], [{"a": 1}], [used], True)
    asked = Open("/tree", {"seed": 5, "tau": 0.5, "skip_overlap": False, "preset": None, "files": "a"}, ["best"], 4, 1)
    assert type(messages.request(messages.line(asked)).options["seed"]) is int  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("", "^no JSON"),
        ("{", "^no JSON"),
        ("[" * 100_000, "^no JSON .maximum recursion"),
        (b"\xff\xfe\xff", "^no JSON"),
        ("3", "^3: expected one of Open, Measure, Count with its fields$"),
        ("{}", "^{}: expected one of"),
        ('{"Stop": {}}', "^{'Stop': {}}: expected one of"),
        ('{"Block": {}}', "^{'Block': {}}: expected one of Open, Measure"),  # an answer is no request
        ('{"Measure": {}, "Open": {}}', "expected one of"),
        ('{"Measure": 3}', "^Measure: 3 is no Measure$"),
        ('{"Measure": {"kind": "a", "name": "b"}}', "^Measure: its fields are kind, name, number; .*unknown: number$"),
        ('{"Measure": {"kind": "a", "name": "b", "number": 1, "of": 2}}', "unknown: of$"),
        (MEASURE % '"3"', "^Measure.number: '3' is no int$"),
        (MEASURE % "true", "^Measure.number: True is no int$"),
        (MEASURE % "3.0", "^Measure.number: 3.0 is no int$"),
        (MEASURE % ("[" + "1," * 99 + "1]"), r"^Measure.number: \[[1, ]{59} is no int$"),  # not the whole of it
    ],
)
def test_what_is_wrong_with_a_request(text: str | bytes, pattern: str) -> None:
    with pytest.raises(ProtocolError, match=pattern):
        messages.request(text)


@pytest.mark.parametrize(
    ("seconds", "usage", "pattern"),
    [
        ("0.5, null", USAGE % "0.1", r"^Block.seconds\[1\]: None is no float$"),
        ("0.5", USAGE % '"high"', r"^Block.usage\[0\].pressure: 'high' is no float \| None$"),
        (
            "0.5",
            '{"wall": 1}',
            r"^Block.usage\[0\]: its fields are wall, .*: cpu, pressure, steal, switches, throttled$",
        ),
    ],
)
def test_what_is_wrong_with_a_block(seconds: str, usage: str, pattern: str) -> None:
    with pytest.raises(ProtocolError, match=pattern):
        messages.answer(BLOCK % (seconds, usage))


def test_the_page_tells_every_message_and_field(pytestconfig: pytest.Config) -> None:
    page = (pytestconfig.rootpath / "docs/gate-protocol.md").read_text()
    for kind in (*get_args(Request), *get_args(Answer)):
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{kind.__name__}` |")]
        assert [name for name in kind.__dataclass_fields__ if f"`{name}`" not in row] == []
    assert f"Version {messages.VERSION}" in page
