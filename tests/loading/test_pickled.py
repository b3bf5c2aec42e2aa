"""Pickles as data: plain values come out as `pickle` gives them, all else as inert objects, damage as one error."""

import io
import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from omegaconf import OmegaConf
from torch.torch_version import TorchVersion

from variants.loading import inert, pickled, torchfile
from variants.loading.kinds import UnreadableError
from variants.loading.plain import NotPlainError, plain

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(SCALARS, inner)
        | st.dictionaries(st.text(), inner).map(OrderedDict)
    ),
)  # fmt: skip


def read(value: Any, protocol: int = 2) -> Any:
    return pickled.read(io.BytesIO(pickle.dumps(value, protocol)))


@given(VALUES, st.integers(0, 5))
def test_plain_values_are_as_pickle_gives_them(value: Any, protocol: int) -> None:
    found = read(value, protocol)
    assert found == value
    assert plain(found) == value


@given(st.binary(), st.integers(3, 5))
def test_bytes_are_as_pickle_gives_them(value: bytes, protocol: int) -> None:
    assert read(value, protocol) == value


class Anything:
    """A class of the file's own, with a state."""

    def __init__(self) -> None:
        self.a = 1


@pytest.mark.parametrize("protocol", range(6))
def test_an_object_keeps_its_class_as_a_name_and_its_state(protocol: int) -> None:
    found = read([Anything(), Anything], protocol)
    assert found[0].name == f"{__name__}.Anything"
    assert found[0].state == {"a": 1}
    assert found[1] == inert.Name(f"{__name__}.Anything")


class Settings(dict[str, Any]):
    """As Lightning's AttributeDict."""


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(0.25), 0.25),
        (np.float32(0.5), 0.5),
        (np.int64(-7), -7),
        (np.bool_(True), True),
        (np.uint8(200), 200),
        (TorchVersion("2.0.1"), "2.0.1"),
        (defaultdict(list, a=[1]), {"a": [1]}),
        (Settings(hidden=3), {"hidden": 3}),
        ({3}, [3]),
        (OmegaConf.create({"a": [1, {"b": "c"}], "d": None}), {"a": [1, {"b": "c"}], "d": None}),
        (OmegaConf.create([0.5, 1]), [0.5, 1]),
    ],
)
def test_known_wrappers_become_plain(value: Any, expected: Any, protocol: int) -> None:
    found = plain({"x": read(value, protocol)})["x"]
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("value", [Path("a"), Anything, Anything(), np.array([1.0]), b"bytes"])
def test_what_is_not_plain_is_named(value: Any) -> None:
    with pytest.raises(NotPlainError, match=r"pathlib|Anything|numpy|bytes"):
        plain([read(value, 4)])


def saved(value: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.bool]
)
def test_tensors_and_views_of_every_type(dtype: torch.dtype, zipped: bool) -> None:
    whole = torch.arange(24).reshape(2, 3, 4).to(dtype)
    tensors = {
        "whole": whole, "view": whole[1, ::2].T, "parameter": torch.nn.Parameter(torch.ones(2)),
        "none": torch.empty(0), "scalar": torch.tensor(3.5),
    }  # fmt: skip
    file = torchfile.read(saved(tensors, _use_new_zipfile_serialization=zipped))
    found = file.tensors(file.content)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_a_view_beyond_its_block_is_refused() -> None:
    file = torchfile.read(saved({"a": torch.zeros(4)}))
    view = file.content["a"]
    for wrong in (inert.Strided(view.stored, 1, (4,), (1,)), inert.Strided(view.stored, 0, (2, 2), (4, 1))):
        with pytest.raises(RuntimeError, match="out of bounds"):
            file.tensors({"a": wrong})
    claimed = inert.Strided(inert.Stored("FloatStorage", view.stored.key, 5), 0, (5,), (1,))
    with pytest.raises(ValueError, match="buffer"):
        file.tensors({"a": claimed})


DATA = [saved({"a": torch.ones(3), "b": [1, "c"]}, _use_new_zipfile_serialization=zipped) for zipped in (True, False)]


@given(st.sampled_from(DATA), st.data())
def test_damage_is_one_error(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data[: draw.draw(st.integers(0, len(data)))])
    for place in draw.draw(st.lists(st.integers(0, len(damaged) - 1), max_size=5)) if damaged else []:
        damaged[place] = draw.draw(st.integers(0, 255))
    try:
        torchfile.read(bytes(damaged))
    except UnreadableError as error:
        assert str(error).startswith(("is ", "holds ", "was "))
