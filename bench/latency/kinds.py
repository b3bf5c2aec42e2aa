"""The kinds of benchmark: the embedding model alone, and the whole pipeline around it."""

from typing import Literal, get_args

from variants.errors import UserError

KindName = Literal["model-only", "pipeline"]
KINDS: tuple[KindName, ...] = get_args(KindName)


def known_kind(benchmark: str) -> KindName | None:
    """The kind that a benchmark's function is named by (`bench_model_only`); None for any other name."""
    return next((kind for kind in KINDS if benchmark.removeprefix("bench_").replace("_", "-") == kind), None)


def kind_of(benchmark: str) -> KindName:
    """The kind that a benchmark's function is named by; UserError for any other name than those of kinds."""
    if (kind := known_kind(benchmark)) is not None:
        return kind
    raise UserError(f"{benchmark}: what is measured must be named bench_model_only or bench_pipeline")
