"""Scoring by other processes: equal to the serial run whoever does it, whatever is lost, and by nobody who differs."""

import argparse
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from pyannote.core import Annotation, Segment
from torch import nn

import variants
from bench.accuracy import cache, evidence, replicate
from bench.accuracy.der import FileScore
from bench.accuracy.hearing import Hearing, Job
from bench.corpus import Recording
from bench.latency.threads import allowed_cpus
from bench.run import shared, worker
from bench.run.options import add_options, parse
from bench.run.run import Run
from bench.run.seats import spread
from variants import UserError
from variants.own import from_factory

FILES = 4
Known = dict[tuple[str, int, int], FileScore]


@pytest.fixture(scope="module")
def corpus(clip: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pieces of the clip, 6 to 9 s long."""
    folder, samples = tmp_path_factory.mktemp("corpus"), clip.waveform()[0]
    for i in range(FILES):
        piece = samples[8000 * i : 8000 * i + 16000 * (6 + i)]
        soundfile.write(folder / f"{i}.wav", piece, 16000, subtype="FLOAT")
        reference = Annotation(str(i))
        reference[Segment(0.5, 3)], reference[Segment(3.5, 6)] = "a", "b"
        with (folder / f"{i}.rttm").open("w") as file:
            reference.write_rttm(file)
    return folder


@pytest.fixture(scope="module", autouse=True)
def foreign() -> Iterator[None]:
    """A variant that no other process can import, and looks at two perturbations only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(variants.registry, "_registry", dict(variants.registry._registry))
        for module in (evidence, replicate):
            patch.setattr(module, "LOOKS", (2,))
        scale = np.float32(1.5)
        variants.variant("scaled", tolerance=-1)(lambda model: _scaled(model, scale))
        yield


def _scaled(model: nn.Module, scale: float) -> nn.Module:
    for weights in model.parameters():
        weights.data = (weights.data * scale).half().float()
    return model


def prepared(corpus: Path, folder: Path, *more: str, told: Callable[..., None] = lambda *_: None) -> Run:
    parser = argparse.ArgumentParser()
    add_options(parser.add_argument)
    line = ("--corpus", str(corpus), "--accuracy", "full", "--accuracy-budget", "1e6", "--step", "2")
    given = parser.parse_args([*line, "--segmentation", "bundled", *more])
    run = Run(parse(lambda name: getattr(given, name)), ["scaled"], folder, told)
    run.prepare(timed=False)
    return run


def known(run: Run) -> Known:
    """All scores, once the verdict is there."""
    assert run.scores.evidence is not None and run.scores.scorer.workers is None
    return run.scores.scorer.known


@pytest.fixture(scope="module")
def serial(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Known:
    found = known(prepared(corpus, tmp_path_factory.mktemp("serial")))
    assert {perturbation for _, _, perturbation in found} == {0, 1} and len(found) == FILES * (3 + 2)
    assert any(found["scaled", i, 0].cosine < 1 for i in range(FILES))
    return found


@pytest.mark.slow
def test_processes_score_as_one_does_and_lose_nothing_when_interrupted(
    corpus: Path, serial: Known, tmp_path: Path
) -> None:
    if len(allowed_cpus()) == 1:
        pytest.skip("two processes need two CPUs")

    told: list[float] = []

    def stop(task: str, share: float, pace: str = "") -> None:
        assert task == "accuracy" and 0 < share <= 1 and pace.endswith(" files/s")
        told.append(share)
        if len(told) == FILES + 2:
            raise KeyboardInterrupt

    stopped = prepared(corpus, tmp_path, "--jobs", "2", told=stop)
    with pytest.raises(KeyboardInterrupt):
        _ = stopped.scores.evidence
    assert not multiprocessing.active_children()
    assert stopped.scores.pool is not None and len(stopped.scores.pool.ready) in (1, 2)
    found = stopped.scores.scorer.known
    assert len(found) == 3 * FILES + 2  # all as they are, of the baseline two under the first perturbation
    assert len(list(tmp_path.glob("*.json"))) == 2 * FILES + 2  # the baseline's are its twin's
    assert found == {job: serial[job] for job in found}
    assert stopped.conditions()["jobs"] == "2" and stopped.conditions()["other_cpus"] == []

    again = prepared(corpus, tmp_path)
    again.scores.scorer.hearing = Counted(again.scores.scorer.hearing)  # type: ignore[assignment]
    assert known(again) == serial
    assert again.scores.scorer.hearing.jobs == 2 * FILES - 2  # type: ignore[attr-defined]
    last = prepared(corpus, tmp_path, "--jobs", "2")
    assert known(last) == serial and last.scores.pool is not None
    assert last.scores.pool._seats is None  # all was kept: nobody was started


class Counted:
    """A `Hearing` that counts what it does."""

    def __init__(self, hearing: Hearing) -> None:
        self.hearing, self.parent, self.jobs = hearing, hearing.parent, 0

    def __call__(self, *given: Any) -> Any:
        self.jobs += 1
        return self.hearing(*given)


@pytest.mark.slow
def test_a_cluster_scores_as_one_process_does_though_a_worker_is_killed(
    corpus: Path, serial: Known, tmp_path: Path
) -> None:
    distributed = pytest.importorskip("distributed", reason="needs Dask: pip install 'diartbench[dask]'")
    begun: list[int] = []
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as cluster:

        def kill(task: str, share: float, pace: str = "") -> None:
            if not begun:
                begun.append(cluster.workers[0].pid)
                os.kill(begun[0], signal.SIGKILL)

        address = cluster.scheduler_address.replace("tcp", "dask")
        run = prepared(corpus, tmp_path, "--jobs", address, told=kill)
        assert known(run) == serial and begun
        assert not run.scores.notes and run.conditions()["jobs"] == address


@pytest.fixture
def asked(corpus: Path, tmp_path: Path) -> worker.Setup:
    """What this process would ask a cluster's worker, or itself."""
    run = prepared(corpus, tmp_path / "kept", "--jobs", "dask://nowhere:1")
    return shared.setup(run.scores.options, run.models, run.scores.scorer)


def test_a_worker_that_differs_is_refused_by_what_does(asked: worker.Setup) -> None:
    def refused(**changes: Any) -> str:
        key = str(changes)
        with pytest.raises(UserError) as error:
            worker.begin(key, replace(asked, **changes), {})
        assert worker._open.keys() == {key}
        with pytest.raises(worker.UnreadyError):
            worker.score(key, Job(("baseline",), 0), {})
        return str(error.value)

    mine = asked.identity
    assert refused(identity={**mine, "torch": "1.0"}) == f"torch {mine['torch']} there, 1.0 here"
    assert refused(identity={**mine, "DiartBench": "0"}) == f"DiartBench {mine['DiartBench']} there, 0 here"
    other = {**mine, "CPU": "neon"}
    assert refused(identity=other) == f"CPU {mine['CPU']} there, neon here; --any-cpu takes it, and marks the run"
    assert refused(models=replace(asked.models, segmentation="/nowhere.bin")).startswith(
        "--segmentation /nowhere.bin: "
    )
    assert refused(built={**asked.built, "baseline": "0"}) == "baseline: another model than here is built there"
    lacking = replace(variants.get("scaled"), needs=["no_such_package"])
    assert refused(foreign=shared.cloudpickle.dumps([lacking])) == (
        "scaled: variant 'scaled' needs no_such_package: pip install no_such_package"
    )
    worker.begin("key", replace(asked, identity=other, built={**asked.built, "baseline": "0"}, any_cpu=True), {})
    worker.end()
    with pytest.raises(worker.UnreadyError):
        worker.score("key", Job(("baseline",), 0), {})


def test_files_are_read_where_they_are_or_travel_once(
    asked: worker.Setup, corpus: Path, serial: Known, tmp_path: Path
) -> None:
    """Of a worker that sees other files of these names, or none."""
    elsewhere, names = tmp_path / "elsewhere", [str(recording.path) for recording, _ in asked.parts]
    elsewhere.mkdir()
    (elsewhere / "1.wav").write_bytes(b"another file")
    parts = [(replace(r, path=elsewhere / r.path.name) if i else r, s) for i, (r, s) in enumerate(asked.parts)]
    files = {str(part[0].path): asked.files[name] for part, name in zip(parts, names, strict=True)}
    worker.begin("key", replace(asked, parts=parts, files=files), {})
    for i in (0, 1, 2):
        job, path = Job(("scaled", "baseline"), i), str(parts[i][0].path)
        if i:
            with pytest.raises(worker.AbsentError) as absent:
                worker.score("key", job, {})
            assert absent.value.args == (path,)
        for contents in ({path: Path(names[i]).read_bytes()} if i else {}, {}):
            found = worker.score("key", job, contents)
            assert found is not None and not found.failed
            assert found.scores == {name: serial[name, i, 0] for name in job.names}
    assert (elsewhere / "1.wav").read_bytes() == b"another file" and not (elsewhere / "2.wav").exists()
    model = tmp_path / "model.bin"
    gone = replace(asked.models, embedding=str(model))
    with pytest.raises(worker.AbsentError):
        worker.begin("two", replace(asked, models=gone, files={str(model): "0" * 64}), {})
    worker.end()


def test_models_of_the_command_line_come_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What registers them runs in no other process."""
    monkeypatch.setattr(variants.registry, "_registry", dict(variants.registry._registry))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "somebody.py").write_text("def model():\n    return helper\ndef helper(*_):\n    return 'made'\n")
    from_factory("somebody:model")
    models: Any = type("Models", (dict,), {"other": lambda self, name: None})(
        {"somebody:model": None, "baseline": None}
    )
    sent = shared.foreign(models)
    monkeypatch.delitem(__import__("sys").modules, "somebody")
    (tmp_path / "somebody.py").unlink()
    (entry,) = shared.cloudpickle.loads(sent)
    assert entry.name == "somebody:model" and entry.build(None)() == "made"


def test_scores_of_any_cpu_are_kept_apart(corpus: Path, serial: Known, tmp_path: Path) -> None:
    run, marked = prepared(corpus, tmp_path), prepared(corpus, tmp_path, "--any-cpu")
    job = "baseline", 0, 0
    assert run.scores.scorer._key(*job) != marked.scores.scorer._key(*job)
    assert marked.scores.notes == [shared.ANY_CPU] and not run.scores.notes
    assert cache.file_digest(corpus / "0.wav") != cache.file_digest(corpus / "1.wav")


def test_processes_are_pinned_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.latency.threads.allowed_cpus", lambda: (0, 1, 2, 3))
    monkeypatch.setattr("bench.latency.threads.physical_cores", lambda cpus: (0, 2))
    monkeypatch.setattr("bench.run.seats.cpu_quota", lambda: None)
    assert spread(3) == [(0,), (2,), (1,)]
    with pytest.raises(UserError, match=r"^--jobs 5: only 4 CPUs are allowed to this process$"):
        spread(5)
    monkeypatch.setattr("bench.run.seats.cpu_quota", lambda: 1.5)
    with pytest.raises(UserError, match=r"^--jobs 2: a container's quota allows the time of 1.5 CPUs$"):
        spread(2)
    monkeypatch.setattr("bench.run.seats.cpu_quota", lambda: None)
    monkeypatch.setattr("bench.latency.threads.allowed_cpus", lambda: ())
    monkeypatch.setattr("bench.latency.threads.physical_cores", lambda cpus: ())
    assert spread(2) == [(), ()]


def test_no_scheduler_and_no_dask_are_said_in_one_line(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.run.seats import seats

    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(UserError, match=r"^--jobs dask://h:1: needs Dask: pip install 'diartbench\[dask\]'$"):
        seats("dask://h:1")
