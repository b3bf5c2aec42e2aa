"""`python -m bench.studies pruning`: both orders paired by seed, differences by hand; errors in one line."""

import argparse
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.studies import pruning

DER = {("fine-tune-first", 1): 31.0, ("prune-first", 1): 30.0, ("fine-tune-first", 2): 28.0, ("prune-first", 2): 29.5}


def test_orders_are_paired_by_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = argparse.Namespace(out=tmp_path, share=0.75, steps=200, seeds=[1, 2])
    made = {}
    for (order, seed), der in DER.items():  # trained already
        file = tmp_path / f"0.75-200-{order}-{seed}" / "pruned.safetensors"
        file.parent.mkdir()
        file.touch()
        made[file] = SimpleNamespace(der=der, cosine=0.5, disagreement=2.0)

    class Scorer:
        der = 27.0

        def __call__(self, path: Path) -> Any:
            return made[path]

    pruning._orders(given, Scorer(), Path("somewhere"))  # type: ignore[arg-type]
    printed = capsys.readouterr().out
    assert "| fine-tune-first, seed 1 | 31.00 | 4.00 | 0.500 | 2.00 |" in printed
    assert "| prune-first, seed 2 | 29.50 | 2.50 | 0.500 | 2.00 |" in printed
    # 31 - 30 = 1 and 28 - 29.5 = -1.5: mean -0.25, deviations 1.25 each, so the standard deviation is 1.25 sqrt(2)
    assert "by -0.25 points (standard deviation 1.77), by seed: +1.00, -1.50" in printed


def test_a_run_is_trained_as_the_table_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr("variants.training.__main__.main", lambda options: asked.append(options) or 0)
    given = argparse.Namespace(
        data=Path("speech"), out=tmp_path, cache=None, copies=4, embedding="bundled",
        share=0.75, steps=200, batch_seconds=20.0, threads=1,
    )  # fmt: skip
    found = pruning._train(given, "prune-first", 3)
    assert found == tmp_path / "0.75-200-prune-first-3" / "pruned.safetensors"
    (options,) = asked
    chosen = dict(zip(options[1::2], options[2::2], strict=True))
    assert options[0] == "prune" and chosen["--order"] == "prune-first" and chosen["--seed"] == "3"
    assert (chosen["--fine-tune-steps"], chosen["--steps"], chosen["--distil-steps"]) == ("100", "200", "200")
    assert chosen["--cache"] == str(tmp_path)


def test_missing_corpus_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert pruning.main(["--corpus", "no/such/folder"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("bench.studies pruning: ") and error.count("\n") == 1 and "no/such/folder" in error
