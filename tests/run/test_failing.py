"""A variant that raises while it is scored: named, and no loss to the others."""

from pathlib import Path

import pytest
from torch import nn

import variants
from bench.__main__ import main
from bench.corpus import Recording


def wrong(model: nn.Module) -> nn.Module:
    model.register_forward_pre_hook(lambda *_: 1 / 0)
    return model


def test_score_prints_the_others_and_fails(
    clip: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(variants.registry, "_registry", dict(variants.registry._registry))
    variants.variant("wrong", tolerance=1)(wrong)
    corpus = ("--corpus", str(clip.path.parent), "--segmentation", "bundled", "--step", "2")
    assert main(["score", "--variants", "wrong,shared-trunk", *corpus, "--accuracy-budget", "0"]) == 1
    told = capsys.readouterr()
    why = "wrong failed while it was scored: clip: ZeroDivisionError: division by zero"
    assert why in told.out and told.err == f"bench: {why}\n"
    rows = [
        line.split()[0] for line in told.out.splitlines() if line.split()[:1] and line.split()[0] in variants.names()
    ]
    assert list(dict.fromkeys(rows)) == ["baseline", "baseline-twin", "shared-trunk", "wrong"]
    assert rows.count("wrong") == 1  # where the reason is
