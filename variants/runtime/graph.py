"""An ONNX graph as a module among others."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from .onnx import Finish, as_it_is, session, write_onnx

AXES = {"inputs": {0: "rows", 2: "steps"}, "outputs": {0: "rows"}}


class Graph(nn.Module):
    """An ONNX graph, in a session of torch's number of threads that do not spin, in place of the module it came from.

    example: of the only input, or of all by name; the `axes` of inputs and of the first output may vary. One tensor in,
    one out; `run` takes and gives several. The file is kept as a buffer.
    """

    def __init__(
        self,
        module: nn.Module,
        example: Tensor | Mapping[str, Tensor],
        finish: Finish = as_it_is,
        axes: Mapping[str, Mapping[int, str]] = AXES,
    ) -> None:
        super().__init__()
        inputs = {"inputs": example} if isinstance(example, Tensor) else example
        with tempfile.TemporaryDirectory(prefix="diartbench-") as folder:
            path = finish(write_onnx(module, Path(folder) / "graph.onnx", inputs, "outputs", axes))
            self.session = session(path)
            self.register_buffer("file", torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.run({"inputs": inputs})[0]

    def run(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """All outputs in order."""
        outputs = self.session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
        return [torch.from_numpy(output) for output in outputs]
