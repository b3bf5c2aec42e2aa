"""Operations counted by hand, in torch and in an ONNX graph; the peak is a speed."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import variants
from bench.latency.floor import Floor, Operations, graph_operations, in_int8, operations, peak
from variants.compressed.int8_static import quantisable, quantise
from variants.runtime.graph import Graph


class Tiny(nn.Module):
    """Three inputs at ten steps: a convolution to four at eight, a linear layer to five, an LSTM of two a direction."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.linear = nn.Conv1d(3, 4, 3), nn.Linear(4, 5)
        self.lstm = nn.LSTM(5, 2, bidirectional=True, batch_first=True)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.lstm(self.linear(self.convolution(inputs).transpose(1, 2)))[0]


CONVOLUTION, LINEAR = 2 * 8 * 4 * 3 * 3, 2 * 8 * 4 * 5
LSTM = 2 * 8 * 2 * (8 * 5 + 8 * 2)  # eight steps, two directions, four gates of two


def test_operations_of_a_graph() -> None:
    graph, inputs = Graph(Tiny().eval(), torch.rand(1, 3, 10)), torch.rand(1, 3, 10)
    outside = nn.Sequential(nn.Conv1d(3, 3, 1, bias=False), graph)
    session = graph.session
    assert operations(outside, lambda: outside(inputs)) == (2 * 10 * 3 * 3 + CONVOLUTION + LINEAR + LSTM, 0)
    assert graph.session is session
    assert operations(outside, lambda: None) == (0, 0)
    twice = graph_operations(bytes(graph.file.numpy()), {"inputs": torch.rand(2, 3, 10).numpy()})
    assert twice == (2 * (CONVOLUTION + LINEAR + LSTM), 0)


def test_operations_in_int8_are_counted_apart(tmp_path: Path) -> None:
    feeds = [{"x": torch.rand(1, 3, 10).numpy()}]
    path = tmp_path / "tiny.onnx"
    torch.onnx.export(Tiny().eval(), (torch.rand(1, 3, 10),), str(path), input_names=["x"], dynamo=False)
    assert graph_operations(path.read_bytes(), feeds[0]) == (CONVOLUTION + LINEAR + LSTM, 0)
    _, linear, _ = every = quantisable(path)
    assert graph_operations(quantise(path, feeds, {}, [linear]).read_bytes(), feeds[0]) == (CONVOLUTION + LSTM, LINEAR)
    assert graph_operations(quantise(path, feeds, {}, every).read_bytes(), feeds[0]) == (0, CONVOLUTION + LINEAR + LSTM)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_one_layer_in_int8_is_enough(layer: int) -> None:
    example, made = torch.rand(1, 3, 10), []

    def finish(path: Path) -> Path:
        return quantise(path, [{"inputs": example.numpy()}], {}, [quantisable(path)[layer]])

    made = [Graph(Tiny().eval(), example, *how) for how in ((), (finish,))]
    assert [in_int8(nn.Sequential(graph)) for graph in made] == [False, True]


def test_torchs_own_layers_in_int8_are_seen_and_other_runtimes_are_not() -> None:
    model = nn.Sequential(nn.Linear(3, 2))
    assert not in_int8(model) and not in_int8(object())
    assert in_int8(torch.ao.quantization.quantize_dynamic(model, {nn.Linear}))


def test_operations_of_a_session_are_those_of_the_shared_trunk(stock: Any) -> None:
    """Whichever rows are equal is found within the graph."""
    inputs = torch.rand(1, 1, 80_000).repeat(3, 1, 1), torch.rand(3, 293)
    counts = []
    for name in ("shared-folded", "onnx-tuned"):
        model = variants.build(name, stock)
        with torch.no_grad():
            found = operations(model, lambda model=model: model(*inputs))  # type: ignore[misc]
        assert found is not None
        counts.append(found.float32)
    assert counts[0] == pytest.approx(counts[1], rel=1e-3)


def test_a_file_with_branches_is_not_counted(stock: Any) -> None:
    """The stock export looks at the shape of the input before its first convolution, by an If."""
    inputs = torch.rand(1, 1, 80_000), torch.rand(1, 293)
    model = variants.build("distilled-onnx-pinned", stock)
    assert operations(model, lambda: model(*inputs)) is None


def test_floor_adds_both_types() -> None:
    assert Floor(Operations(100, 400), Operations(50, 200)).seconds == 4
    assert Floor(Operations(100), Operations(50, 0)).seconds == 2


def test_operations_in_torch() -> None:
    module = nn.Sequential(nn.Conv1d(3, 4, 3), nn.ReLU(), nn.Conv1d(4, 4, 1))
    assert operations(module, lambda: module(torch.rand(1, 3, 10))) == (CONVOLUTION + 2 * 8 * 4 * 4, 0)
    assert operations(object(), lambda: None) is None


def test_peak_counts_a_products_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("bench.latency.floor.time.perf_counter", lambda: float(next(clock)))
    assert peak(side=10, seconds=5) == (2000.0, 2000.0)  # one second each by this clock
