"""The kinds of benchmark: the embedding model alone, the whole pipeline around it, and a start of that from nothing."""

from typing import Literal, get_args

from variants.errors import UserError

KindName = Literal["model-only", "pipeline", "cold-start"]
KINDS: tuple[KindName, ...] = get_args(KindName)
STEADY: tuple[KindName, ...] = ("model-only", "pipeline")  # rounds that follow one another in a process


def known_kind(benchmark: str) -> KindName | None:
    """The kind that a benchmark's function is named by (`bench_model_only`); None for any other name."""
    return next((kind for kind in KINDS if benchmark.removeprefix("bench_").replace("_", "-") == kind), None)


def kind_of(benchmark: str) -> KindName:
    """The kind that a benchmark's function is named by; UserError for any other name than those of kinds."""
    if (kind := known_kind(benchmark)) is not None:
        return kind
    names = ", ".join(f"bench_{kind.replace('-', '_')}" for kind in KINDS)
    raise UserError(f"{benchmark}: what is measured must be named one of {names}")
