"""An ONNX graph as a module among others."""

import tempfile
from pathlib import Path

import torch
from torch import nn

from .onnx import Finish, as_it_is, session, write_onnx


class Graph(nn.Module):
    """An ONNX graph, in a session of torch's number of threads that do not spin, in place of the module it came from.

    One tensor in, one out; the first and the last dimension of `example` may vary. The file is kept as a buffer.
    """

    def __init__(self, module: nn.Module, example: torch.Tensor, finish: Finish = as_it_is) -> None:
        super().__init__()
        with tempfile.TemporaryDirectory(prefix="diartbench-") as folder:
            axes = {"inputs": {0: "rows", 2: "steps"}, "outputs": {0: "rows"}}
            path = finish(write_onnx(module, Path(folder) / "graph.onnx", {"inputs": example}, "outputs", axes))
            self.session = session(path)
            self.register_buffer("file", torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.session.run(None, {"inputs": inputs.numpy()})[0])
