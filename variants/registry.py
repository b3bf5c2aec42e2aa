"""The registry: every variant by name, each built from its parent's model.

A technique is a function from model to model, so "distilled + int8" is the composition of two entries.
An embedding model is an `nn.Module` called as `model(waveforms, weights)` with (rows, 1, samples) and (rows, frames)
that returns (rows, dimension), or a ready `diart.models.EmbeddingModel`.
"""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from math import isnan, nan
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, get_args

from .errors import UnavailableError, UserError
from .provenance import provenance_of, stamp

if TYPE_CHECKING:
    from diart.models import EmbeddingModel, SegmentationModel
    from torch import Tensor, nn

Model = Literal["embedding", "segmentation"]
MODELS: tuple[Model, ...] = get_args(Model)
Built: TypeAlias = "nn.Module | EmbeddingModel"
Technique = TypeVar("Technique", bound="Callable[[Any], Built]")  # Any: each knows its parent's class

EXACT_TOLERANCE = 0.05  # DER points that rounding alone may move
_registry: dict[str, Variant] = {}


@dataclass(frozen=True, eq=False)
class Variant:
    """One entry of the registry; as the decorator `variant`, it enters the function that it decorates."""

    name: str
    """As in `--variants a,b`: without commas, spaces and brackets."""
    _: KW_ONLY
    title: str = ""
    """For the tables; the name, if empty."""
    parent: str | None = "baseline"
    """Whose model `build` receives; None: the loaded model itself."""
    paper: str | None = None
    """The row of the DIART paper's Table III that it reproduces."""
    exact: bool = False
    """Whether its output is its parent's, up to rounding."""
    tolerance: float = nan
    """Highest accepted DER increase over the baseline, in points; what is exact need not declare it."""
    needs: Sequence[str] = ()
    """Packages that must be importable."""
    default: bool = True
    """Whether it is measured without being named."""
    pinned: bool = True
    """Whether it obeys the run's thread settings."""
    probe: Callable[[], object] = lambda: None
    """Raises UnavailableError for whatever else is missing."""
    model: Model = "embedding"
    """Which of the two models it is a variant of."""
    exported_by: str | None = None
    """The variant to export as ONNX in its place, if one file cannot hold it (it keeps work, or is two models)."""
    segmentation: str | None = None
    """The segmentation variant that a whole-pipeline variant brings along, with the lean blocks (`exact.blocks`).

    These hand the model views of one waveform as its rows: it must not write to them.
    """
    build: Callable[[Any], Built] = lambda model: model  # Any: as above
    """From the parent's model (its own copy) to the variant's: the decorated function."""

    def __call__(self, build: Technique) -> Technique:
        """Register `build` under this name.

        Raises ValueError if the name is taken, or unfit for `--variants a,b`, or if a tolerance is missing.
        """
        name, tolerance = self.name, self.tolerance
        if name in _registry:
            raise ValueError(f"variant {name!r} is registered twice")
        if not name or set(name) & set(", []"):
            raise ValueError(f"variant name {name!r} must not be empty or hold commas, spaces or brackets")
        if isnan(tolerance):
            if not self.exact:
                raise ValueError(f"variant {name!r} is not exact: declare its tolerance in DER points")
            tolerance = EXACT_TOLERANCE
        _registry[name] = replace(self, title=self.title or name, tolerance=tolerance, build=build)
        return build


variant = Variant


def enter(entry: Variant) -> None:
    """Register another process' entry, in place of any of that name."""
    _registry[entry.name] = entry


def names(model: Model = "embedding") -> list[str]:
    """All registered names of variants of that model, in order of registration."""
    return [name for name, v in _registry.items() if v.model == model]


def get(name: str, model: Model | None = None) -> Variant:
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


def build(name: str, root: nn.Module) -> Built:
    """Build variant `name` from the loaded model `root`, which stays untouched.

    Raises UnavailableError, naming what is missing, if the variant or an ancestor cannot run here.
    """
    require(name)
    model: Built = copy.deepcopy(root)
    for entry in ancestry(name):
        origin = provenance_of(model)
        model = entry.build(model)
        if origin is not None and provenance_of(model) is None:
            stamp(model, origin)
    return model


def as_segmentation_model(model: Callable[[Tensor], Tensor]) -> SegmentationModel:
    """Wrap a built segmentation model for DIART: a loaded `diart.models.SegmentationModel`."""
    from diart.models import PowersetAdapter, SegmentationModel

    if getattr(getattr(model, "specifications", None), "powerset", False):
        model = PowersetAdapter(model)
    wrapped = SegmentationModel(lambda: model)
    wrapped.load()
    return wrapped


def as_embedding_model(model: Built) -> EmbeddingModel:
    """Wrap a built model for DIART: a `diart.models.EmbeddingModel`."""
    from diart.models import EmbeddingModel

    return model if isinstance(model, EmbeddingModel) else EmbeddingModel(lambda: model)
