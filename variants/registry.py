"""The registry: every variant by name, each built from its parent's model.

A technique is a function from model to model, so "distilled + int8" is the composition of two entries.
A model is an `nn.Module` called as `model(waveforms, weights)` with (rows, 1, samples) and (rows, frames)
that returns (rows, dimension), or a ready `diart.models.EmbeddingModel`.
"""

import copy
import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .errors import UnavailableError, UserError
from .provenance import provenance_of, stamp

Build = Callable[[Any], Any]


@dataclass(frozen=True)
class Variant:
    """One entry of the registry.

    title: for the tables. parent: whose model `build` receives (None: the loaded embedding model itself).
    paper: the row of the DIART paper's Table III that it reproduces. exact: same embeddings as its parent's, up
    to rounding. tolerance: highest accepted DER increase over the baseline, in points. needs: packages that
    must be importable. default: measured without being named. pinned: obeys the run's thread settings. probe: raises
    UnavailableError for whatever else is missing. model: "embedding" or "segmentation", whichever it is a variant of.
    exported_by: the variant to export as ONNX instead of this one, if one file cannot hold it (it keeps work from
    chunk to chunk, or is two models). segmentation: the segmentation variant that a whole-pipeline variant brings
    along; it also gets the lean blocks (`variants.exact.blocks`).
    """

    name: str
    build: Build
    title: str
    parent: str | None
    paper: str | None
    exact: bool
    tolerance: float
    needs: tuple[str, ...]
    default: bool
    pinned: bool
    probe: Callable[[], None] = lambda: None
    model: str = "embedding"
    exported_by: str | None = None
    segmentation: str | None = None


EXACT_TOLERANCE = 0.05  # DER points that rounding alone may move
_registry: dict[str, Variant] = {}


def variant(
    name: str,
    *,
    title: str | None = None,
    parent: str | None = "baseline",
    paper: str | None = None,
    exact: bool = False,
    tolerance: float | None = None,
    needs: Iterable[str] = (),
    default: bool = True,
    pinned: bool = True,
    probe: Callable[[], None] = lambda: None,
    model: str = "embedding",
    exported_by: str | None = None,
    segmentation: str | None = None,
) -> Callable[[Build], Build]:
    """Register the decorated function, which takes the parent's model (its own copy) and returns the variant's.

    Raises ValueError if the name is taken, or unfit for `--variants a,b`, or if a tolerance is missing.
    """

    def register(build: Build) -> Build:
        if name in _registry:
            raise ValueError(f"variant {name!r} is registered twice")
        if not name or set(name) & set(", []"):
            raise ValueError(f"variant name {name!r} must not be empty or hold commas, spaces or brackets")
        if tolerance is None and not exact:
            raise ValueError(f"variant {name!r} is not exact: declare its tolerance in DER points")
        points = EXACT_TOLERANCE if tolerance is None else tolerance
        _registry[name] = Variant(
            name, build, title or name, parent, paper, exact, points, tuple(needs), default, pinned,
            probe, model, exported_by, segmentation,
        )  # fmt: skip
        return build

    return register


def names(model: str = "embedding") -> list[str]:
    """All registered names of variants of that model, in order of registration."""
    return [name for name, v in _registry.items() if v.model == model]


def get(name: str, model: str | None = None) -> Variant:
    """The variant of that name (and of that model, if given); UserError that lists the known ones."""
    found = _registry.get(name)
    if found is None or model not in (None, found.model):
        raise UserError(f"unknown variant {name!r}; known are: {', '.join(names(model or 'embedding'))}")
    return found


def select(spec: str | None) -> list[Variant]:
    """Variants for a `--variants` value: None for the default ones, "all", or names with commas between."""
    if spec is None:
        return [get(name) for name in names() if get(name).default]
    if spec.strip() == "all":
        return [get(name) for name in names()]
    chosen = [get(name.strip(), "embedding") for name in spec.split(",") if name.strip()]
    if not chosen:
        raise UserError(f"--variants names none; known are: {', '.join(names())}")
    return list(dict.fromkeys(chosen))


def ancestry(name: str) -> list[Variant]:
    """The chain from the root variant to `name`; UserError for an unknown or circular parent."""
    chain: list[Variant] = []
    current: str | None = name
    while current is not None:
        entry = get(current)
        if entry in chain:
            raise UserError(f"variant {name!r}: its parents form a circle at {current!r}")
        chain.insert(0, entry)
        current = entry.parent
    return chain


def require(name: str) -> None:
    """Raise UnavailableError, naming what is missing, if `name` or an ancestor cannot run here; builds nothing."""
    for entry in ancestry(name):
        absent = [need for need in entry.needs if importlib.util.find_spec(need) is None]
        if absent:
            raise UnavailableError(f"variant {name!r} needs {', '.join(absent)}: pip install {' '.join(absent)}")
        entry.probe()


def build(name: str, root: Any) -> Any:
    """Build variant `name` from the loaded embedding model `root`, which stays untouched.

    Raises UnavailableError, naming what is missing, if the variant or an ancestor cannot run here.
    """
    require(name)
    model = copy.deepcopy(root)
    for entry in ancestry(name):
        origin = provenance_of(model)
        model = entry.build(model)
        if origin is not None and provenance_of(model) is None:
            stamp(model, origin)
    return model


def as_segmentation_model(model: Any) -> Any:
    """Wrap a built segmentation model for DIART: a loaded `diart.models.SegmentationModel`."""
    from diart.models import PowersetAdapter, SegmentationModel

    if getattr(getattr(model, "specifications", None), "powerset", False):
        model = PowersetAdapter(model)
    wrapped = SegmentationModel(lambda: model)
    wrapped.load()
    return wrapped


def as_embedding_model(model: Any) -> Any:
    """Wrap a built model for DIART: a `diart.models.EmbeddingModel`."""
    from diart.models import EmbeddingModel

    return model if isinstance(model, EmbeddingModel) else EmbeddingModel(lambda: model)
