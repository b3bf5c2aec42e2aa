"""The recipe of the correction: least squares by hand, rows of a stream, the command and its file."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from variants.compressed.channel_pruned import with_channels
from variants.provenance import Provenance, stamp
from variants.training import drift
from variants.training.__main__ import main


def test_the_fit_finds_a_map_that_there_is() -> None:
    random = torch.Generator().manual_seed(0)
    apart, truth = torch.randn(4000, 6, generator=random), torch.randn(6, 5, generator=random)
    lengths = torch.rand(4000, generator=random) + 0.5
    # what is penalised shrinks: for independent columns of one size by 1 / (1 + RIDGE)
    torch.testing.assert_close(drift.fit(apart, apart @ truth, lengths), truth / 1.1, rtol=0.05, atol=0.05)


def test_a_run_writes_a_map_that_names_its_model(
    stock: Any, speech_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    small = with_channels(copy.deepcopy(stock), (80, 60, 60, 32, 32, 32, 32, 48)).eval()
    root = stamp(small, Provenance("test", "a" * 64, trained=True))
    monkeypatch.setattr(drift, "load", lambda *_: copy.deepcopy(root))
    monkeypatch.setattr(drift, "EVERY", 30)  # two chunks of each stretch
    out = tmp_path / "drift.safetensors"
    options = ["drift", "--data", str(speech_folder), "--out", str(out), "--stretches", "2", "--dev-speakers", "4"]
    assert main(options) == 0
    before, after = capsys.readouterr().out.splitlines()
    assert before.startswith("before: median cosine ") and after.startswith("after: median cosine ")
    with safe_open(out, "pt") as file:
        assert json.loads(file.metadata()["teacher_sha256"]) == "a" * 64
        assert file.get_tensor("correction").shape == (400, 512) and file.get_tensor("correction").isfinite().all()
    assert main([*options[:4], str(tmp_path), *options[5:]]) == 1
    assert "this is a folder" in capsys.readouterr().err
