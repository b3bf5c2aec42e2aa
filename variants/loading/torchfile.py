"""Files that `torch.save` wrote (zip, and the stream before 1.6): the pickle as inert data, tensors on demand."""

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from . import inert, pickled
from .kinds import ZIP, UnreadableError, describe

STREAM = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how the format before 1.6 begins: its magic number, pickled
DTYPES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip


@dataclass(frozen=True)
class TorchFile:
    """`content` is plain data and inert objects; `block` gives the stored bytes of a key."""

    content: Any
    block: Callable[[str], bytes]

    def tensors(self, views: Mapping[str, inert.Strided]) -> dict[str, torch.Tensor]:
        """The tensors read from their blocks, each block once. Raises ValueError or RuntimeError for bad sizes."""
        blocks: dict[str, bytearray] = {}
        found = {}
        for name, view in views.items():
            stored, dtype = view.stored, DTYPES.get(view.stored.kind)
            if dtype is None:
                raise ValueError(f"{name} is stored as {stored.kind}")
            if stored.key not in blocks:
                blocks[stored.key] = bytearray(self.block(stored.key))
            flat = torch.frombuffer(blocks[stored.key], dtype=dtype, count=stored.count) if stored.count else None
            whole = torch.empty(0, dtype=dtype) if flat is None else flat
            found[name] = whole.as_strided(view.size, view.stride, view.offset)  # which checks that it stays within
        return found


def read(data: bytes) -> TorchFile:
    """Read a file's bytes. Raises UnreadableError for any other file, its message a sentence's end: "is empty"."""
    try:
        if data.startswith(ZIP):
            return _zipped(data)
        if data.startswith(STREAM):
            return _streamed(data)
    except UnreadableError:
        raise
    except Exception as error:  # whatever bad data make the readers raise; nothing of the data is ever called
        raise UnreadableError(f"is damaged or cut short ({len(data)} bytes): fetch it again ({error})") from None
    raise UnreadableError(describe(data))


def _zipped(data: bytes) -> TorchFile:
    archive = zipfile.ZipFile(io.BytesIO(data))
    records = {info.filename.partition("/")[2]: info for info in archive.infolist()}
    if "data.pkl" not in records or "constants.pkl" in records:
        raise UnreadableError(describe(data))
    if sum(info.file_size for info in records.values()) > len(data):  # nothing that torch wrote is compressed
        raise UnreadableError("holds compressed records, which torch never writes: save it anew by torch.save")
    if "byteorder" in records and archive.read(records["byteorder"]) != b"little":
        raise UnreadableError("was written on a big-endian machine: save it anew on another one")
    content = pickled.read(io.BytesIO(archive.read(records["data.pkl"])))
    return TorchFile(content, lambda key: archive.read(records[f"data/{key}"]))


def _streamed(data: bytes) -> TorchFile:
    """Pickles of the magic number, the version and the system, of the content, of the keys; then the blocks in turn."""
    stream = io.BytesIO(data)
    stored: dict[str, inert.Stored] = {}
    for _ in range(3):
        pickled.read(stream)
    content = pickled.read(stream, stored)
    blocks = {}
    for key in pickled.read(stream):
        count = int.from_bytes(stream.read(8), "little")
        size = count * DTYPES[stored[key].kind].itemsize
        blocks[key] = stream.read(size)
        if len(blocks[key]) < size:
            raise EOFError(f"block {key} ends early")
    return TorchFile(content, blocks.__getitem__)
