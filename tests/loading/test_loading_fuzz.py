"""Whatever a file of weights holds, it is read, or one line says why not; nothing of it ever runs. See `make fuzz`."""

import copy
import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from variants import UserError
from variants.loading import inert, load, pickled
from variants.speech.data import DataError
from variants.training.weights import load_network, taught_by
from variants.wavlm import Segmenter, Sizes
from variants.wavlm.sizes import HeadSizes
from variants.wavlm.weights import KIND

pytestmark = pytest.mark.fuzz
MARKER = "it ran"


class Trap:
    """Unpickled, it makes the folder `MARKER` where the test runs."""

    def __reduce__(self) -> Any:
        return os.mkdir, (MARKER,)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Where the files lie, and `MARKER` would appear."""
    before, folder = Path.cwd(), tmp_path_factory.mktemp("fuzz")
    os.chdir(folder)
    yield folder
    os.chdir(before)


def one_line(error: Exception, path: Path) -> None:
    assert path.name in str(error) and len(str(error).splitlines()) == 1 and len(str(error)) < 1000


class Shared:
    """Pickled: 2**40 empty lists, all of them the same one. Its own `repr` has an end."""

    def __reduce__(self) -> Any:
        found: list[Any] = []
        for _ in range(40):
            found = [found, found]
        return str, (found,)


scalar = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
odd = st.sampled_from(
    [10**9, 10**30, -1, "", "x" * 5000, b"x", Trap(), os.mkdir, Shared(), torch.zeros(3), torch.zeros(1).expand(10**12)]
)
anything = st.recursive(
    scalar | odd, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something is in a structure of dictionaries and lists."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


@st.composite
def changed(draw: st.DrawFn, whole: Any, others: st.SearchStrategy[Any]) -> Any:
    """A structure in which some values are others, or gone."""
    whole = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        if not (found := places(whole)[1:]):
            break
        *path, last = draw(st.sampled_from(found))
        holder = whole
        for key in path:
            holder = holder[key]
        if draw(st.booleans()) and isinstance(holder, dict):
            del holder[last]
        else:
            holder[last] = draw(others)
    return whole


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Some bytes of a file are others, its end is missing, or something follows it."""
    found = bytearray(data)
    where = st.integers(0, min(len(data), 4000) - 1) | st.integers(0, len(data) - 1)
    for place, value in draw(st.dictionaries(where, st.integers(0, 255), max_size=8)).items():
        found[place] = value
    return bytes(found[: draw(st.none() | st.integers(0, len(data)))]) + draw(st.binary(max_size=20))


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


NAMES = [
    "os mkdir", "posix system", "builtins eval", "builtins set", "copyreg _reconstructor", "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter", "torch FloatStorage", "numpy dtype",
    "numpy.core.multiarray scalar", "_codecs encode", "omegaconf.dictconfig DictConfig",
    "torch.torch_version TorchVersion",
]  # fmt: skip
opcode = (
    st.sampled_from([bytes([b]) for b in b"(0122.NQRabdeolstu]})\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94"])
    | st.sampled_from(NAMES).map(lambda name: f"c{name.replace(' ', chr(10))}\n".encode())
    | st.sampled_from(NAMES).map(lambda name: b"".join(map(text, name.split())) + b"\x93")
    | st.sampled_from([MARKER, "storage", "0", "cpu", "f4", "_content"]).map(text)
    | st.integers(0, 255).map(lambda n: b"K" + bytes([n]))
    | st.integers(0, 3).map(lambda n: b"h" + bytes([n]))
    | st.integers(0, 3).map(lambda n: b"q" + bytes([n]))
    | st.binary(max_size=8).map(lambda b: b"C" + bytes([len(b)]) + b)
    | st.floats().map(lambda x: b"G" + struct.pack(">d", x))
    | st.sampled_from([b"ios\nmkdir\n", b"(cos\nmkdir\n" + text(MARKER) + b"o"])
    | st.just(b"cos\nmkdir\n" + text(MARKER) + b"\x85R")
    | st.binary(min_size=1, max_size=3)
)  # fmt: skip
program = st.lists(opcode, max_size=30).map(lambda codes: b"\x80\x04" + b"".join(codes) + b".")


@settings(deadline=None)
@given(data=program)
def test_pickles(folder: Path, data: bytes) -> None:
    try:
        found = pickled.read(io.BytesIO(data))
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, EOFError):
        return
    finally:
        assert not Path(MARKER).exists()
    kinds = (
        inert.Name,
        inert.Object,
        inert.Stored,
        inert.Strided,
        list,
        dict,
        tuple,
        str,
        bytes,
        bytearray,
        int,
        float,
    )
    assert found is None or found is pickled.MARK or type(found) in (*kinds, bool)


def zipped(pickle: bytes, **records: bytes) -> bytes:
    """As torch.save puts a pickle and the blocks beside it together."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in {"data.pkl": pickle, **records}.items():
            archive.writestr(f"archive/{name}", data)
    return buffer.getvalue()


def saved(content: Any, zipped: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


@settings(deadline=None)
@given(data=st.data())
def test_checkpoints(folder: Path, segmenter: Any, content: Callable[[Any], Any], data: st.DataObject) -> None:
    path, whole = folder / "model.ckpt", content(segmenter)
    kind = data.draw(st.sampled_from(["structure", "bytes", "pickle"]))
    if kind == "pickle":
        path.write_bytes(zipped(data.draw(program)))
    else:
        whole = data.draw(changed(whole, anything)) if kind == "structure" else whole
        file = saved(whole, data.draw(st.booleans()))
        path.write_bytes(file if kind == "structure" else data.draw(damaged(file)))
    try:
        load("segmentation", str(path))
    except UserError as error:
        one_line(error, path)
    assert not Path(MARKER).exists()


SMALL = Segmenter(
    Sizes((8,) * 7, ((0, 1), ()), (8, 0), 16, 2, large=False), HeadSizes(width=16, ffn=16, heads=2, kernel=3, blocks=1)
)
numbers = st.sampled_from([0, -1, 3, 10**9, 10**30, 1.5, "x", None, [], {}]) | st.integers() | st.floats()


@settings(deadline=None)
@given(data=st.data())
def test_safetensors(folder: Path, data: st.DataObject) -> None:
    path = folder / "model.safetensors"
    sizes = (
        SMALL.sizes()
        if data.draw(st.booleans())
        else data.draw(changed(json.loads(json.dumps(SMALL.sizes())), numbers))
    )
    notes = {"kind": KIND, "sizes": json.dumps(sizes)}
    file = save(SMALL.state_dict(), notes)
    if data.draw(st.booleans()):
        file = data.draw(damaged(file))
    if data.draw(st.booleans()):  # a header of its own, behind its length
        length = int.from_bytes(file[:8], "little")
        try:
            header = json.dumps(data.draw(changed(json.loads(file[8 : 8 + length]), numbers))).encode()
        except ValueError:
            header = b"{}"
        file = len(header).to_bytes(8, "little") + header + file[8 + length :]
    path.write_bytes(file)
    try:
        assert isinstance(load("segmentation", str(path)), Segmenter)
    except UserError as error:
        one_line(error, path)
    try:
        load_network(path)
    except DataError as error:
        one_line(error, path)


@pytest.mark.parametrize(("place", "claim"), [("blocks", 10**9), ("ffn", 10**12), ("width", 2 * 10**9)])
def test_a_segmentation_is_not_built_larger_than_its_file(folder: Path, place: str, claim: int) -> None:
    sizes = SMALL.sizes()
    sizes["head"][place] = claim
    (folder / "large.safetensors").write_bytes(save(SMALL.state_dict(), {"kind": KIND, "sizes": json.dumps(sizes)}))
    with pytest.raises(UserError, match=r"large\.safetensors: not a segmentation of this project"):
        load("segmentation", str(folder / "large.safetensors"))


@pytest.mark.parametrize("content", [None, 3, {"state_dict": 3}, {"state_dict": {3: 4}}, {"state_dict": {"lstm": "x"}}])
def test_a_recipes_file_of_something_else_is_named(folder: Path, content: Any) -> None:
    path = folder / "best.ckpt"
    path.write_bytes(b"" if content is None else saved(content, zipped=True))
    for read in (load_network, taught_by):
        if read is taught_by and isinstance(content, dict) and content["state_dict"] != 3:
            assert taught_by(path) is None
            continue
        with pytest.raises(DataError) as raised:
            read(path)
        one_line(raised.value, path)
