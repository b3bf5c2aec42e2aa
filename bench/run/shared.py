"""Scoring by other processes than this one: what they are told, and what is said of them."""

import sys
from collections.abc import Iterable
from pathlib import Path

import cloudpickle

import variants
from bench.accuracy import cache
from bench.accuracy.scoring import Scorer
from variants import UserError, Variant, own

from . import worker
from .models import Models
from .options import ScoringOptions
from .pool import Pool
from .seats import DASK, seats

ANY_CPU = "scored by CPUs of any instruction set (--any-cpu): labels may differ from those of one machine"


def pool(options: ScoringOptions, models: Models, scorer: Scorer) -> Pool:
    """The workers that `--jobs` names, once the first of them has something to do."""
    return Pool(lambda: seats(options.jobs), lambda: setup(options, models, scorer))


def setup(options: ScoringOptions, models: Models, scorer: Scorer) -> worker.Setup:
    """All that makes another process score as this one does."""
    task, named = scorer.task, models.options
    files = [recording.path for recording, _ in task.parts]
    files += [Path(source) for source in (named.embedding, named.segmentation) if Path(source).is_file()]
    return worker.Setup(
        identity=worker.identity(),
        built=worker.built(models),
        digests=scorer.digests,
        foreign=foreign(models),
        models=named,
        settings=task.settings,
        collar=task.collar,
        skip_overlap=task.skip_overlap,
        parts=task.parts,
        any_cpu=options.any_cpu,
        files={str(path): cache.file_digest(path) for path in files} if options.jobs.startswith(DASK) else {},
    )


def foreign(models: Models) -> bytes:
    """Those entries that these models rest on and that other processes lack, pickled with their modules' code."""
    names = [*models, *filter(None, map(models.other, models))]
    entries = {v.name: v for name in names for v in variants.ancestry(name)}.values()
    mine = [entry for entry in entries if not _everywhere(entry) or entry.build.__module__ == own.__name__]
    modules = {sys.modules[entry.build.__module__] for entry in mine if not _everywhere(entry)}
    modules.discard(sys.modules["__main__"])  # which goes by value anyway
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        found: bytes = cloudpickle.dumps(mine)
    except Exception as error:  # whatever somebody's own code holds
        raise UserError(
            f"--jobs: {_listed(mine)} cannot be sent to other processes ({error}); leave --jobs out"
        ) from None
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)
    return found


def _everywhere(entry: Variant) -> bool:
    """Whether its module is this project's."""
    return entry.build.__module__.startswith("variants.")


def _listed(entries: Iterable[Variant]) -> str:
    return ", ".join(entry.name for entry in entries)
