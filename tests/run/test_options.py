"""The command line as a run's options, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.latency.kinds import KINDS, kind_of
from bench.pipeline.staged import PRESETS
from bench.run.options import Options
from variants import UserError

Make = Callable[..., Options]


def test_each_option_goes_to_its_subject(options: Make) -> None:
    one = "--embedding e.ckpt --segmentation-variant segmentation-onnx --trust-checkpoint --corpus talks --files a,,b "
    other = "--accuracy full --accuracy-budget 9 --accuracy-strict --collar 0.5 --skip-overlap --threads 2 --budget 7 "
    third = "--seed 3 --processes 5 --chunk 4 --step 1 --latency 2 --jobs dask://host:8786 --any-cpu --calibration own"
    made = options(*(one + other + third).split())
    assert vars(made.models) == {
        "embedding": "e.ckpt", "segmentation": "bundled", "segmentation_variant": "segmentation-onnx", "trust": True,
        "calibration": Path("own"),
    }  # fmt: skip
    assert (made.corpus.folder, made.corpus.files) == (Path("talks"), ("a", "b"))
    assert vars(made.scoring) == {
        "extent": "full", "budget": 9, "strict": True, "collar": 0.5, "skip_overlap": True,
        "jobs": "dask://host:8786", "any_cpu": True,
    }  # fmt: skip
    assert vars(made.timing) == {"threads": 2, "budget": 7, "seed": 3, "processes": 5}
    assert (made.pipeline.duration, made.pipeline.step, made.pipeline.latency) == (4, 1, 2)
    assert options().corpus.files is None and options().models.calibration is None


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), PRESETS["bundled"]),
        (("--segmentation", "oracle"), PRESETS["bundled"]),
        (("--embedding", "e.ckpt"), PRESETS["dihard3"]),  # the thresholds of the bundled models fit no others
        (("--segmentation", "s.ckpt"), PRESETS["dihard3"]),
        (("--segmentation", "s.ckpt", "--preset", "ami"), PRESETS["ami"]),
        (("--preset", "ami", "--tau", "0", "--delta", "1.5"), (0, PRESETS["ami"][1], 1.5)),
    ],
)
def test_thresholds(options: Make, arguments: tuple[str, ...], expected: tuple[float, ...]) -> None:
    settings = options(*arguments).pipeline
    assert (settings.tau, settings.rho, settings.delta) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--collar -0.1", "--collar -0.1: must be a number from 0"),
        ("--accuracy-budget -1", "--accuracy-budget -1: must be a number from 0"),
        ("--processes 0", "--processes 0: must be a number from 1 to 1000"),
        ("--budget -1", "--budget -1: must be a number from 0"),
        ("--budget nan", "--budget nan: must be a number from 0"),  # which would never be over
        ("--budget inf", "--budget inf: must be a number from 0"),
        ("--tau nan", "--tau nan: must be a number from 0"),
        ("--seed -1", "--seed -1: must be a number from 0"),  # which not all libraries take
        ("--chunk 1e6 --latency 1e6", "duration <= 3600"),  # 64 GB of samples
        ("--segmentation-variant distilled", "unknown variant 'distilled'; known are: segmentation"),
        ("--segmentation oracle --segmentation-variant segmentation-onnx", "an oracle is no model"),
        ("--step 0", "0 < step"),
        *(
            (f"--jobs={jobs}", f"^--jobs {jobs}: a number of processes from 1 on, or dask://HOST:PORT$")
            for jobs in ("0", "-1", "two", "1.5", "dask://", "dask://host")
        ),
    ],
)
def test_nonsense_is_refused(options: Make, arguments: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        options(*arguments.split())


def test_a_benchmark_is_named_by_its_kind() -> None:
    assert [kind_of(f"bench_{kind.replace('-', '_')}") for kind in KINDS] == ["model-only", "pipeline", "cold-start"]
    with pytest.raises(UserError, match="test_mine"):
        kind_of("test_mine")


@pytest.mark.parametrize("option", ["--corpus", "--rttm", "--uem"])
def test_an_unset_variable_is_not_the_current_folder(
    options: Make, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    with pytest.raises(SystemExit):
        options(option, "")
    assert f"argument {option}: is empty" in capsys.readouterr().err
