"""Files that are no checkpoint: one line says what each is."""

import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save

Refuse = Callable[..., str]
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0b5b3216d60a\nsize 17719103\n"


def array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ones(3))
    return buffer.getvalue()


def graph() -> bytes:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Relu", ["x"], ["x"])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [value], [value]), producer_name="pytorch")
    return bytes(model.SerializeToString())


def archive(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as written:
        written.writestr(name, "text")
    return buffer.getvalue()


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as written:
        written.addfile(tarfile.TarInfo("tensors"))
    return buffer.getvalue()


def script() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (bytes(100), "is 100 bytes of zeros: fetch it again"),
        (LFS, "is a Git LFS pointer, not the file itself: run `git lfs pull` where it was cloned"),
        (b"<!DOCTYPE html>\n<html><head><title>Sign in</title>", "is a web page saved under this name"),
        (b"\xef\xbb\xbf \n<html>", "is a web page saved under this name"),
        (b"\n<?xml version='1.0'?><Error>", "is a web page saved under this name"),
        (b'{"error": "Invalid token"}\n', 'is text (\'{"error": "invalid token"}'),
        (b"not a model at all\n", "is text ('not a model at all"),
        (save({"a": torch.ones(2)}), "is a safetensors file"),
        (graph(), "is an ONNX graph"),
        (array(), "is a NumPy array"),
        (b"\x1f\x8b\x08\x00", "is compressed by gzip"),
        (pickle.dumps({"a": 1}), "is a pickle of its own"),
        (archive("data.csv"), "is a zip archive without a checkpoint in it (it holds data.csv)"),
        (tar(), "is a tar archive"),
        (script(), "is a TorchScript archive"),
        (b"PK\x03\x04" + bytes(100), "is damaged or cut short (104 bytes): fetch it again"),
        (bytes(range(256)), "is no torch checkpoint: its format is unknown"),
    ],
)
def test_each_kind_is_named(tmp_path: Path, refusal: Refuse, data: bytes, said: str) -> None:
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(data)
    for kind in ("embedding", "segmentation"):
        for trust in (False, True)[: 1 if data.startswith((b"PK", b"\x80")) else 2]:
            assert f"--{kind} {path}: it {said}" in refusal(kind, path, trust)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_file_cut_short(checkpoint: Callable[..., Path], refusal: Refuse, share: float, zipped: bool) -> None:
    path = checkpoint(_use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: round(share * len(whole))])
    assert "damaged or cut short" in refusal("embedding", path)


def test_a_flipped_bit_among_the_weights(checkpoint: Callable[..., Path], refusal: Refuse) -> None:
    path = checkpoint()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert "CRC" in refusal("embedding", path)
