"""The verdict's operating curve: on errors whose truth is known, and the command from what it wrote."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from bench.accuracy.__main__ import main
from bench.accuracy.der import Accuracy, FileScore
from bench.accuracy.errors import Components
from bench.accuracy.selfcheck import Row, replays, table

VOICES = {"a": ("ann",), "b": ("ben",)}
NOTHING = Components(10.0, 0.0, 0.0, 0.0)


def heard(errors: np.ndarray, label: str) -> list[Accuracy]:
    """Accuracy of two files of 50 s of speech, by perturbation (rows); errors in seconds."""
    return [
        Accuracy(
            tuple(
                FileScore(
                    name, parts, NOTHING, 1.0, 1.0, (), (), (parts,), (NOTHING,), 10.0, f"{label} {p}", seconds=1.5
                )
                for name, error in zip(VOICES, row, strict=True)
                for parts in [Components(50.0, float(error), 0.0, 0.0)]
            )
        )
        for p, row in enumerate(errors)
    ]


def models() -> dict[str, list[Accuracy]]:
    """A baseline of 20 points, give or take one a file; another 1.5 points above it."""
    random = np.random.default_rng(0)
    base = 10 + 0.5 * random.standard_normal((64, 2))
    more = 0.75 + 0.3 * random.standard_normal((64, 2))
    return {"baseline": heard(base, "base"), "noise-0.1": heard(base + more, "noise")}


def test_chance_is_rarely_called_worse_and_known_damage_is_found() -> None:
    rows = {
        (row.model, round(row.tolerance - row.loss, 6), row.most): row
        for row in replays(models(), VOICES, 4, 200, np.random.default_rng(1))
    }
    assert {(name, most) for name, _, most in rows} == {
        ("baseline", 8), ("baseline", 16), ("baseline", 32),
        ("noise-0.1", 8), ("noise-0.1", 16), ("noise-0.1", 32), ("noise-0.1", 64),
    }  # fmt: skip
    assert all(rows["baseline", 0.0, most].verdicts.count("worse") <= 4 for most in (8, 16, 32))
    assert sum(rows["baseline", 0.0, 32].once) > 60  # while one hearing is above by chance, half of the time
    at, beyond, below = (rows["noise-0.1", margin, 64] for margin in (0.0, -1.0, 1.0))
    assert at.verdicts.count("within tolerance") <= 5
    assert beyond.verdicts.count("worse") > 180 and below.verdicts.count("within tolerance") > 180
    assert rows["noise-0.1", -1.0, 8].verdicts.count("worse") <= beyond.verdicts.count("worse")
    assert at.minutes == pytest.approx(64 * 2 * 2 * 1.5 / 60)  # both models, two files each
    assert all(sum(row.held) > 180 for row in rows.values())
    assert at.loss == pytest.approx(np.mean([a.der for a in models()["noise-0.1"]]) - np.mean(
        [a.der for a in models()["baseline"]]
    ))  # fmt: skip


def test_table() -> None:
    row = Row("noise-0.1", 1.234, 0.234, 16, 2.5, ["worse", "worse", "not resolved", "worse"], [False] * 4, [True] * 4)
    cells = [cell.strip() for cell in table([row]).splitlines()[-1].strip("|").split("|")]
    # 3 of 4: Clopper & Pearson's 19.4 to 99.4 %
    assert cells[:6] == ["noise-0.1", "+1.23", "0.23", "16", "2.5", "75.0 [19.4, 99.4]"]
    assert cells[8:] == ["0.0 [0.0, 60.2]", "100.0 [39.8, 100.0]"]


def test_command_replays_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = {name: [[asdict(file) for file in one.files] for one in of[:16]] for name, of in models().items()}
    path = tmp_path / "heard.json"
    path.write_text(json.dumps({"heard": saved, "voices": {name: list(of) for name, of in VOICES.items()}}))
    assert main(["selfcheck", "--from", str(path), "--replays", "5", "--judged", "3"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("16 perturbations of a, b; 3 comparisons share the error of a run.")
    assert out.count("| noise-0.1 |") == 6 and out.count("| baseline |") == 2


@pytest.mark.parametrize(
    "text", ["", "{}", '{"heard": {}, "voices": {}}', '{"heard": {"baseline": [[{}]]}, "voices": {}}']
)
def test_what_it_did_not_write_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "heard.json"
    path.write_text(text)
    assert main(["selfcheck", "--from", str(path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"bench.accuracy: --from {path}: not what --json wrote")
