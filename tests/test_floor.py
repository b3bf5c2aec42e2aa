"""Operations counted by hand, in torch and in an ONNX graph; the peak is a speed."""

import pytest
import torch
from torch import nn

from bench.floor import graph_operations, operations, peak
from variants.best_exact import Graph


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
    assert graph_operations(bytes(graph.file.numpy()), inputs.shape) == CONVOLUTION + LINEAR + LSTM
    outside = nn.Sequential(nn.Conv1d(3, 3, 1, bias=False), graph)
    assert operations(outside, lambda: outside(inputs)) == 2 * 10 * 3 * 3 + CONVOLUTION + LINEAR + LSTM
    assert operations(outside, lambda: None) == 0
    doubled = torch.rand(2, 3, 10)
    assert graph_operations(bytes(graph.file.numpy()), doubled.shape) == 2 * (CONVOLUTION + LINEAR + LSTM)


def test_operations_in_torch() -> None:
    module = nn.Sequential(nn.Conv1d(3, 4, 3), nn.ReLU(), nn.Conv1d(4, 4, 1))
    assert operations(module, lambda: module(torch.rand(1, 3, 10))) == CONVOLUTION + 2 * 8 * 4 * 4
    assert operations(object(), lambda: None) is None


def test_peak_counts_a_products_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("bench.floor.time.perf_counter", lambda: float(next(clock)))
    assert peak(side=10, seconds=5) == 2000.0  # one second each by this clock
