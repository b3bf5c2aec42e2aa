"""The sensitivity table on a graph of which one layer alone is harmed by int8; what the command refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench.studies import sensitivity


class Two(nn.Module):
    """A convolution of the signal itself, whose outputs differ in size a thousandfold, then one of its outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(1, 8, 5), nn.Conv1d(8, 6, 3)
        self.first.weight.data[0] *= 1000
        self.second.weight.data[:, 0] *= 0.001

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x)).mean(dim=2)


def test_table_names_the_layer_that_int8_harms(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "two.onnx"
    example = (torch.rand(1, 1, 40),)
    torch.onnx.export(Two().eval(), example, str(path), input_names=["x"], dynamo=False)
    feeds = [{"x": np.random.default_rng(i).random((1, 1, 40), np.float32)} for i in range(4)]
    lines = sensitivity.table(path, feeds, {}, sensitivity.COSINES).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert rows[0] == ["in int8", "mean cosine", "lowest cosine"]
    (first, _, worst), (second, mean, lowest), everything, without = rows[2:]
    assert "first" in first and "second" in second and everything[0] == "all" and without[0] == f"all but {first}"
    assert float(worst) < float(lowest) <= float(mean) <= 1
    assert without[1:] == [mean, lowest]  # of two layers one is left


def test_the_segmentation_is_taken_apart_with_its_lstms(
    segmenter: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    feeds = [{"inputs": 0.1 * np.random.default_rng(i).standard_normal((1, 1, 80_000), np.float32)} for i in range(2)]
    monkeypatch.setattr(sensitivity, "chunk_feeds", lambda: (feeds, {}))
    monkeypatch.setattr(sensitivity, "load", lambda kind, _: {"segmentation": segmenter}[kind])
    assert sensitivity.main(["--model", "segmentation"]) == 0
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head == "| in int8 | mean difference | largest difference | across 0.5, % |"
    assert sum("Conv" in row for row in rows[:-2]) == 3 and sum("LSTM" in row for row in rows[:-2]) == 1
    for row in rows:
        mean, largest, across = map(float, row.strip("| ").split("|")[1:])
        assert 0 < mean < largest < 1 and 0 <= across < 50


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("onnx-tuned", "--variant onnx-tuned: is no network in torch"),
        ("cached-sinc", "--variant cached-sinc: is no network in torch"),
        ("segmentation", "unknown variant 'segmentation'"),
    ],
)
def test_what_cannot_be_tried_is_refused_in_one_line(
    name: str, says: str, stock: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sensitivity, "load", lambda *_: stock)
    assert sensitivity.main(["--variant", name]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
