"""What a file is that is no checkpoint: web pages, pointers, weights in other formats."""

import io
import re
import zipfile

ZIP = b"PK\x03\x04"
ONNX = re.compile(rb"\x08[\x01-\x20](\x12[\x01-\x40][\x20-\x7e]|[\x1a\x22\x3a])")  # ir_version, then producer or graph
MAGIC = {
    b"version https://git-lfs": "is a Git LFS pointer, not the file itself: run `git lfs pull` where it was cloned",
    b"\x89HDF": "is an HDF5 file (weights of Keras or MATLAB)",
    b"\x93NUMPY": "is a NumPy array",
    b"GGUF": "is a GGUF file (weights for llama.cpp)",
    b"\x1f\x8b": "is compressed by gzip: unpack it first",
    b"\x80": "is a pickle of its own, not written by torch.save",
}


class UnreadableError(Exception):
    """A file that is no torch checkpoint; the message is the end of a sentence about it."""


def describe(data: bytes) -> str:
    """What the bytes of a file that is no checkpoint seem to be, as the end of a sentence: "is a web page ..."."""
    start = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not data.strip(b"\0"):
        return "is empty" if not data else f"is {len(data)} bytes of zeros: fetch it again"
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<!--")):
        return "is a web page saved under this name, not a model: download the file itself (the page's 'raw' link)"
    if data.startswith(ZIP):
        return _archive(data)
    for magic, said in MAGIC.items():
        if data.startswith(magic):
            return said
    if int.from_bytes(data[:8], "little") < len(data) and data[8:9] == b"{":
        return "is a safetensors file, which names no pyannote.audio architecture"
    if ONNX.match(data):
        return "is an ONNX graph, not a checkpoint; give the checkpoint that it was exported from"
    if data[257:262] == b"ustar":
        return "is a tar archive (of NeMo, or of torch before 2017)"
    if all(byte >= 32 or byte in b"\t\r\n\f" for byte in data[:4096]):
        return f"is text ({start[:40].decode(errors='replace')!r}), not a model"
    return "is no torch checkpoint: its format is unknown"


def _archive(data: bytes) -> str:
    try:
        names = [name.partition("/")[2] or name for name in zipfile.ZipFile(io.BytesIO(data)).namelist()]
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return f"is damaged or cut short ({len(data)} bytes): fetch it again"
    if "constants.pkl" in names:
        return "is a TorchScript archive, code and weights in one; give the checkpoint that it was made from"
    return f"is a zip archive without a checkpoint in it (it holds {', '.join(names[:3]) or 'nothing'})"
