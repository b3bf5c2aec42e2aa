"""What a process does that scores for another one: builds the same models, then does one job after the other.

What makes its scores those of the asking process is checked first: code and packages, the CPU's instructions, and once
they are built, the models themselves. Whatever differs is a UserError: this worker is refused, in one line.
"""

import functools
import pickle
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import variants
from bench.accuracy import cache
from bench.accuracy.hearing import Found, Hearing, Job, Task
from bench.accuracy.parts import Part
from bench.corpus import CorpusError
from bench.latency import threads
from bench.pipeline.diarize import Cut, cut
from bench.pipeline.staged import PipelineSettings
from variants import UserError
from variants.files import write_atomically
from variants.runtime.cpu import cpu_flags

from .models import Models
from .options import ModelOptions

CPU = "CPU"


class AbsentError(Exception):
    """A file that is not here, by its path: to be asked again with its content."""


class UnreadyError(Exception):
    """This process has not begun, or has begun anew since."""


@dataclass(frozen=True)
class Setup:
    """All that a worker needs to be what the asking process is.

    identity, built: `identity` and `built` of that process. digests: of models by variant, as its `Hearing` has them.
    foreign: pickled, the variants that are not this project's. files: SHA-256 of the models' and the parts' files, by
    path; empty if the worker sees the same ones. any_cpu: whether results of other instructions are welcome.
    """

    identity: Mapping[str, str]
    built: Mapping[str, str | None]
    digests: Mapping[str, str | None]
    foreign: bytes
    models: ModelOptions
    settings: PipelineSettings
    collar: float
    skip_overlap: bool
    parts: Sequence[Part]
    any_cpu: bool
    files: Mapping[str, str] = field(default_factory=dict)


@functools.cache
def identity() -> dict[str, str]:
    """What scores rest on besides models and audio; as it was first asked for, for files change under a process."""
    code = cache.digest(cache.code_digest(), Path(__file__).read_bytes())
    packages = {name: version(name) for name in cache.PACKAGES}
    return {
        "Python": ".".join(map(str, sys.version_info[:2])),
        **packages,
        "DiartBench": code[:12],
        CPU: " ".join(cpu_flags()),
    }


def built(models: Models) -> dict[str, str | None]:
    """Digests of all models as they were built."""
    segmentations = {
        "the segmentation": models.segmentation,
        **{f"{n}'s segmentation": m for n, m in models.others.items()},
    }
    return {name: cache.model_digest(model) for name, model in models.items()} | {
        name: cache.model_digest(model.model) for name, model in segmentations.items()
    }


class Worker:
    """The models of one run, built, and where files are that came along."""

    def __init__(self, setup: Setup, folder: "tempfile.TemporaryDirectory[str]") -> None:
        self.setup, self.folder = setup, folder
        self.seen: dict[str, Path] = {}
        self.hearing: Hearing | None = None  # until it has begun

    def begin(self, contents: Mapping[str, bytes]) -> None:
        """Build the models; AbsentError for a file of one, UserError for what is another one or cannot run here."""
        setup = self.setup
        for entry in pickle.loads(setup.foreign):
            variants.enter(entry)
        named = {kind: getattr(setup.models, kind) for kind in ("embedding", "segmentation")}
        here = {kind: str(self.place(source, contents)) for kind, source in named.items() if source in setup.files}
        options = replace(setup.models, **here)  # type: ignore[arg-type]  # of two fields that are text
        models = Models(options, setup.settings.duration, list(setup.digests))
        models.load()
        for name, why in (models.skipped | models.broken).items():
            raise UserError(f"{name}: {why}")
        if not setup.any_cpu:
            mine = built(models)
            for name, digest in setup.built.items():
                if mine[name] != digest:
                    raise UserError(f"{name}: another model than here is built there")
        task = Task(
            setup.parts, self.cut, setup.settings, models.segmentation, setup.collar, setup.skip_overlap, models.others
        )
        self.hearing = Hearing(models, setup.digests, task)

    def place(self, path: str, contents: Mapping[str, bytes]) -> Path:
        """Where the asking process' file is here; AbsentError if it is not, and did not come along."""
        digest = self.setup.files.get(path)
        if digest is None:
            return Path(path)
        if path not in self.seen:
            kept = Path(self.folder.name) / f"{digest}{Path(path).suffix}"
            if path in contents:
                write_atomically(kept, contents[path])
            elif not Path(path).is_file() or cache.file_digest(Path(path)) != digest:
                raise AbsentError(path)
            self.seen[path] = kept if path in contents else Path(path)
        return self.seen[path]

    def cut(self, part: Part, perturbation: int) -> Cut | None:
        """A part of a recording as chunks; None if it is damaged, which the asking process will find, too."""
        recording, seconds = part
        try:
            return cut(
                replace(recording, path=self.seen.get(str(recording.path), recording.path)),
                self.setup.settings,
                seconds,
                perturbation,
            )
        except CorpusError:
            return None


_open: dict[str, Worker] = {}  # the one whose jobs this process does, by its key


def begin(key: str, setup: Setup, contents: Mapping[str, bytes]) -> dict[str, str]:
    """Make this process do the jobs of one run; what it is. UserError if it is not as the asking one."""
    if key not in _open:
        _open.clear()  # models of an earlier run
        _open[key] = Worker(setup, tempfile.TemporaryDirectory(prefix="diartbench-"))
    mine = identity()
    for what, theirs in setup.identity.items():
        if mine.get(what) != theirs and not (what == CPU and setup.any_cpu):
            hint = "; --any-cpu takes it, and marks the run" if what == CPU else ""
            raise UserError(f"{what} {mine.get(what) or 'unknown'} there, {theirs or 'unknown'} here{hint}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as everywhere
        with threads.untimed(None, threads.allowed_cpus()):
            _open[key].begin(contents)
    return mine


def score(key: str, job: Job, contents: Mapping[str, bytes]) -> Found | None:
    """What `Hearing` says of a job, by one thread; UnreadyError where `begin` was not called with that key."""
    worker = _open.get(key)
    if worker is None or worker.hearing is None:
        raise UnreadyError
    worker.place(str(worker.setup.parts[job.part][0].path), contents)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with threads.untimed(None, threads.allowed_cpus()):
            return worker.hearing(job)


def end() -> None:
    """Forget the models."""
    _open.clear()
