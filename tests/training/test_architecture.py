"""The plain-PyTorch networks are pyannote.audio's, number for number, and their weights travel both ways."""

import json
from pathlib import Path

import pytest
import torch
from pyannote.audio.core.task import Problem, Resolution, Specifications
from pyannote.audio.models.embedding import XVectorSincNet as StockXVector
from pyannote.audio.models.segmentation import PyanNet as StockPyanNet
from safetensors import safe_open

from variants.training.architecture import PyanNet, XVectorSincNet, statistics_pooling
from variants.training.weights import export, load_network


def stock_pyannet(**hyperparameters: object) -> StockPyanNet:
    stock = StockPyanNet(**hyperparameters)
    stock.specifications = Specifications(
        problem=Problem.MULTI_LABEL_CLASSIFICATION,
        resolution=Resolution.FRAME,
        duration=5.0,
        classes=["a", "b", "c"],
        permutation_invariant=True,
    )
    stock.build()
    return stock.eval()


LSTM = {"hidden_size": 128, "num_layers": 4, "bidirectional": True, "monolithic": True}


@pytest.fixture
def waveforms() -> torch.Tensor:
    return torch.randn(2, 1, 80000, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def test_embedding_equals_stock(waveforms: torch.Tensor) -> None:
    stock, ours = StockXVector().eval(), XVectorSincNet().eval()
    ours.load_state_dict(stock.state_dict(), strict=True)
    stock.load_state_dict(ours.state_dict(), strict=True)
    assert sum(parameter.numel() for parameter in ours.parameters()) == 4_346_366
    weights = torch.rand(2, 3, 293)
    torch.testing.assert_close(ours(waveforms), stock(waveforms), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(ours(waveforms, weights), stock(waveforms, weights), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(ours(waveforms, weights[:, 0]), stock(waveforms, weights[:, 0]), atol=1e-6, rtol=1e-5)


@torch.inference_mode()
def test_segmentation_equals_stock(waveforms: torch.Tensor) -> None:
    stock, ours = stock_pyannet(lstm=LSTM), PyanNet().eval()
    ours.load_state_dict(stock.state_dict(), strict=True)
    stock.load_state_dict(ours.state_dict(), strict=True)
    assert sum(parameter.numel() for parameter in ours.parameters()) == 1_472_749
    torch.testing.assert_close(ours(waveforms), stock(waveforms), atol=1e-6, rtol=1e-5)


def test_pooling_by_hand() -> None:
    sequences = torch.tensor([[[1.0, 3.0, 100.0]]])
    pooled = statistics_pooling(sequences, torch.tensor([[1.0, 1.0, 0.0]]))
    torch.testing.assert_close(pooled, torch.tensor([[2.0, 2.0**0.5]]))  # mean and deviation of 1 and 3
    torch.testing.assert_close(statistics_pooling(sequences[..., :2]), pooled)


@torch.inference_mode()
@pytest.mark.parametrize("network", [XVectorSincNet, PyanNet])
def test_exported_file_builds_and_fills_the_stock_class(
    network: type[torch.nn.Module], tmp_path: Path, waveforms: torch.Tensor
) -> None:
    trained, path = network().eval(), tmp_path / "weights.safetensors"
    export(trained, path)
    with safe_open(path, "pt") as file:
        metadata, state = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    assert {tensor.dtype for tensor in state.values()} <= {torch.float16, torch.int64}
    hyperparameters = json.loads(metadata["hyperparameters"])
    if metadata["architecture"] == "pyannote.audio.models.embedding.XVectorSincNet":
        stock = StockXVector(**hyperparameters).eval()
    else:
        assert metadata["architecture"] == "pyannote.audio.models.segmentation.PyanNet"
        stock = stock_pyannet(**hyperparameters)
    stock.load_state_dict({key: value.float() for key, value in state.items()}, strict=True)
    torch.testing.assert_close(stock(waveforms), load_network(path)(waveforms), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(stock(waveforms), trained(waveforms), atol=0.05, rtol=0.05)
