"""`--profile A,B`: two variants of a run, built anew with the profilers on, and taken apart."""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from bench.latency.kinds import STEADY
from bench.latency.profile import Profile, profile, watched_sessions

from .corpus import Corpus
from .models import Models
from .options import Options
from .timing import Timing


def profiles(
    options: Options, corpus: Corpus, kinds: Iterable[str], progress: Callable[[str, float], None]
) -> dict[str, dict[str, Profile]]:
    """Of both variants, for each kind."""
    streams = corpus.streams
    with tempfile.TemporaryDirectory(prefix="diartbench-") as folder, watched_sessions(Path(folder)) as sessions:
        models = Models(options.models, options.pipeline.duration, ["baseline", *options.profile])
        models.load()
        timing = Timing(options.timing, models, corpus, progress)
        subjects = {
            (kind, name): timing.subject(kind, name) for kind in STEADY if kind in kinds for name in options.profile
        }
        found = profile(subjects, streams, sessions)
    return {kind: {name: found[kind, name] for name in options.profile} for kind, _ in found}
