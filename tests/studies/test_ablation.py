"""The ablation: which graphs and sessions its cells mean, and the table on rounds worked out by hand."""

from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

from bench.latency.interleave import Measurement, Rounds
from bench.studies import ablation
from bench.studies.ablation import ALL_CELLS, CELLS, Cell, Graphs, in_diart, network, table


def rounds(segmentation: float, embedding: float, rest: float) -> Rounds:
    """Eight rounds in four blocks, slower and slower, with these seconds as the stages of the first."""
    result = Rounds()
    for i in range(8):
        spent = {"segmentation": segmentation, "embedding": embedding, "rest": rest}
        result.stages.append({key: value * (1 + i) for key, value in spent.items()})
        result.seconds.append((segmentation + embedding + rest) * (1 + i))
        result.blocks.append(i // 2)
    return result


def test_table() -> None:
    cell = str(Cell(pinned=True, still=True, shared=True, folded=True))
    measured = {
        "baseline": rounds(0.040, 0.050, 0.010),
        "baseline-twin": rounds(0.040, 0.050, 0.010),
        cell: rounds(0.060, 0.010, 0.010),
    }
    lost = str(Cell(dynamo=True))
    lines = table([*measured, lost], Measurement(measured, {lost: "RuntimeError: no"}))
    cells = [[part.strip() for part in line.strip("|").split("|")] for line in lines]
    assert {len(row) for row in cells} == {10}
    assert cells[2][:4] == ["torch", "baseline", "pinned", "-"]
    assert cells[2][4:] == ["180.0", "225.0", "45.0", "-", "-", "-"]  # medians of 1 to 8 times the stages
    assert cells[3][7:] == ["100.0 [100.0, 100.0]"] * 3
    assert cells[4][:4] == ["traced", "shared + folded", "pinned", "no"]
    assert cells[4][4:7] == ["270.0", "45.0", "45.0"]
    assert [ratio.split()[0] for ratio in cells[4][7:]] == ["150.0", "20.0", "80.0"]
    assert "failed: RuntimeError: no" in lines[5]


def test_cells_cover_every_factor_in_both_ways() -> None:
    assert len(set(ALL_CELLS)) == 64 and len(set(CELLS)) == len(CELLS) and set(CELLS) <= set(ALL_CELLS)
    for factor in vars(Cell()):
        # some pair of cells differs in this factor alone
        assert any(Cell(**{**vars(cell), factor: not getattr(cell, factor)}) in CELLS for cell in CELLS), factor


@pytest.mark.parametrize("cell", [Cell(), Cell(shared=True), Cell(folded=True), Cell(lowered=True)], ids=str)
def test_graphs_are_what_they_say(cell: Cell, stock: Any, tmp_path: Path) -> None:
    graphs = Graphs(stock, tmp_path)
    path = graphs.path(cell)
    assert isinstance(path, Path)
    assert graphs.path(Cell(**{**vars(cell), "pinned": True, "still": True})) == path  # a session is no other graph
    graph = onnx.load(str(path)).graph
    kinds = [node.op_type for node in graph.node]
    assert ("BatchNormalization" in kinds) == (not cell.folded)
    assert ("CumSum" in kinds) == cell.shared
    ranks = {tensor.name: len(tensor.dims) for tensor in graph.initializer}
    convolutions = [ranks.get(node.input[1]) for node in graph.node if node.op_type == "Conv"]
    assert (4 in convolutions) == cell.lowered and (3 in convolutions) == (not cell.lowered)
    waveforms, weights = 0.1 * torch.randn(2, 1, 32_000)[[0, 0, 1]], torch.rand(3, 117)
    with torch.no_grad():
        expected = stock(waveforms, weights)
        assert torch.cosine_similarity(network(cell, stock)(waveforms, weights), expected).min() > 0.99999
    assert torch.cosine_similarity(in_diart(path, cell)(waveforms, weights), expected).min() > 0.99999


def test_sessions(stock: Any, tmp_path: Path) -> None:
    path = Graphs(stock, tmp_path).path(Cell(folded=True))
    assert isinstance(path, Path)

    def options(**chosen: bool) -> tuple[int, str]:
        session = in_diart(path, Cell(folded=True, **chosen)).model.session.get_session_options()
        try:
            spinning = session.get_session_config_entry("session.intra_op.allow_spinning")
        except RuntimeError:
            spinning = "unset"
        return session.intra_op_num_threads, spinning

    count = torch.get_num_threads()
    assert options() == (0, "unset")
    assert options(pinned=True) == (count, "1")
    assert options(still=True) == (0, "0")
    assert options(pinned=True, still=True) == (count, "0")


def test_a_graph_that_cannot_be_exported_is_skipped_with_one_sentence(
    stock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **options: Any) -> Path:
        raise RuntimeError("\x1b[96mNo such operator. Advice follows\nand more of it")

    monkeypatch.setattr(ablation, "export", refuse)
    assert Graphs(stock, tmp_path).path(Cell()) == "RuntimeError: No such operator"
