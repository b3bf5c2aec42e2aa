"""What scoring costs elsewhere, computed by hand from what it took here."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.corpus import Recording
from bench.run.scale import Row, tables
from variants import UserError


def test_what_is_computed_is_marked_and_bounded_by_the_longest_file() -> None:
    # 600 s of audio; two workers take 150 s: 0.5 s of a core per second. Alone: 450 s, 0.75
    rows = iter([Row(1, 0.0, 240.0, 400.0), Row(2, 12.0, 150.0, 450.0)])
    lines = list(tables(rows, ["baseline", "best"], [400.0, 200.0]))
    assert lines[0] == "Measured: 2 files, 10.0 min of audio, heard once by 2 variants side by side."
    assert lines[4:6] == ["| 1 | 0 | 240.0 | 0.008 | 2.50 | 1.00 |", "| 2 | 12 | 150.0 | 0.013 | 4.00 | 1.60 |"]
    assert lines[7].startswith("Computed from the last row, not measured: VoxConverse's test set (232 files, 43.5 h,")
    # 43.53 h x 0.5 = 21.8 h, and x (0.5 + 7 x 0.75) = 250.3 h; on 256 cores 20 min x 0.5 = 10 min, x 5.75 = 115 min
    assert lines[11:] == ["| 1 | 21.8 h | 250.3 h |", "| 16 | 1.4 h | 15.6 h |", "| 256 | 10 min | 1.9 h |"]


def test_a_row_is_told_before_the_next_is_measured() -> None:
    def broken() -> Iterator[Row]:
        yield Row(1, 0.0, 240.0, 400.0)
        raise UserError("the second is not measured")

    told = tables(broken(), ["baseline"], [600.0])
    assert list(islice(told, 5))[-1] == "| 1 | 0 | 240.0 | 0.004 | 2.50 | 1.00 |"
    with pytest.raises(UserError, match="second"):
        next(told)


def test_it_is_measured_from_nothing_kept(
    clip: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["scale", "--corpus", str(clip.path.parent), "--segmentation", "bundled", "--step", "2"]
    assert main([*line, "--jobs", "1,none"]) == 1
    assert capsys.readouterr().err.startswith("bench: --jobs none: a number of processes")
    assert main([*line, "--jobs", "1,1"]) == 0
    rows = [row.split("|")[1:-1] for row in capsys.readouterr().out.splitlines() if row.startswith("| 1 | 0 |")]
    assert len(rows) == 2 and all(float(row[2]) > 0.05 for row in rows)  # the second, too, hears it
    assert not (tmp_path / ".pytest_cache").exists()
