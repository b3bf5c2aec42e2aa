"""The models of a run: the two loaded ones, and every variant built from them."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import variants
from bench.latency.floor import in_int8
from bench.latency.results import TWIN
from bench.latency.size import parameters, saved_size
from bench.pipeline.oracle import OracleSegmentation
from variants import UnavailableError, UserError
from variants.compressed.calibration import calibrated_on, calibration
from variants.loading import load, trained_duration

from .options import ModelOptions

if TYPE_CHECKING:
    from diart.models import SegmentationModel
    from torch import nn

    from variants.registry import Built


class Models(Mapping[str, "Built"]):
    """Those of the `wanted` variants that can be built here, by name, once they are asked for.

    skipped: cannot run here, and why. broken: should run here but raised. duration: of a chunk, in seconds.
    """

    def __init__(self, options: ModelOptions, duration: float, wanted: Sequence[str]) -> None:
        self.options, self.duration, self.wanted = options, duration, wanted
        self.skipped: dict[str, str] = {}
        self.broken: dict[str, str] = {}

    def __getitem__(self, name: str) -> Built:
        return self._built[0][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._built[0])

    def __len__(self) -> int:
        return len(self._built[0])

    @property
    def others(self) -> Mapping[str, SegmentationModel]:
        """The segmentation model of each variant whose pipeline does not run the stock one."""
        return self._built[1]

    @cached_property
    def root(self) -> nn.Module:
        """The embedding model that all variants are built from."""
        return load("embedding", self.options.embedding, self.options.trust)

    @property
    def oracle(self) -> bool:
        """Whether the reference takes the place of a segmentation model."""
        return self.options.segmentation == "oracle"

    @cached_property
    def segmentation(self) -> SegmentationModel:
        """The stock segmentation, already loaded."""
        if not self.oracle:
            return variants.as_segmentation_model(self._segmentation_root)
        bundled: Any = load("segmentation")  # a PyanNet, which `load` does not know
        frames = int(bundled.num_frames(round(self.duration * 16000)))
        return variants.as_segmentation_model(OracleSegmentation(self.duration, frames))

    @property
    def trained_duration(self) -> float | None:
        """Seconds of the chunks that the segmentation was trained on, None where it does not say."""
        return None if self.oracle else trained_duration(self._segmentation_root)

    def segmentation_of(self, name: str) -> SegmentationModel:
        """The segmentation model that a variant's pipeline runs."""
        return self.others.get(name, self.segmentation)

    @cached_property
    def _segmentation_root(self) -> nn.Module:
        return load("segmentation", self.options.segmentation, self.options.trust)

    def only(self, names: Collection[str]) -> Models:
        """The same models, those of some variants alone."""
        built, others = self._built
        found = copy.copy(self)
        for made_of_all in ("trained", "sizes", "in_int8"):
            vars(found).pop(made_of_all, None)
        kept = {name: model for name, model in built.items() if name in names}
        vars(found)["_built"] = kept, {name: other for name, other in others.items() if name in kept}
        return found

    def load(self) -> None:
        """Load and build all, so that what is wrong is said, and what cannot run is known; UserError."""
        if self.options.calibration is not None:
            calibration(self.options.calibration)
        _ = self.root, self.segmentation, self._built

    def alone(self, name: str) -> tuple[Built, SegmentationModel]:
        """One variant's embedding and segmentation, built without the other variants; UserError, or what it raises."""
        other = self.other(name)
        return self.build(name), self.segmentation if other is None else self.build_segmentation(other)

    def build(self, name: str) -> Built:
        """A variant of the embedding model, made anew."""
        with calibrated_on(self.options.calibration):
            return variants.build(name, self.root)

    @cached_property
    def _built(self) -> tuple[dict[str, Built], dict[str, SegmentationModel]]:
        """Every variant's embedding model, and those segmentation models that are not the stock one."""
        built: dict[str, Built] = {}
        _ = self.root
        for name in self.wanted:
            try:
                built[name] = self.build(name)
            except UnavailableError as error:
                self.skipped[name] = str(error)
            except Exception as error:  # somebody's own variant: the others go on
                self.broken[name] = f"cannot be built: {type(error).__name__}: {error}"
        if "baseline" not in built:
            raise UserError(f"the baseline {self.broken.get('baseline') or self.skipped['baseline']}")
        segmentations: dict[str, SegmentationModel] = {}
        for name, other in [(name, self.other(name)) for name in built]:
            try:
                if other is not None and other not in segmentations:
                    segmentations[other] = self.build_segmentation(other)
            except UnavailableError as error:
                self.skipped[name] = str(error)
                del built[name]
        others = {name: segmentations[other] for name in built if (other := self.other(name)) is not None}
        return built, others

    def build_segmentation(self, name: str) -> SegmentationModel:
        """A variant of the segmentation model, made anew."""
        with calibrated_on(self.options.calibration):
            return variants.as_segmentation_model(variants.build(name, self._segmentation_root))

    def other(self, name: str) -> str | None:
        """The segmentation variant that a variant's pipeline runs; None for the stock one."""
        if name in ("baseline", TWIN) or self.oracle:
            return None
        return variants.get(name).segmentation or self.options.segmentation_variant

    @cached_property
    def trained(self) -> dict[str, bool]:
        """Whether each variant's weights were ever trained."""
        stamps = {name: variants.provenance_of(model) for name, model in self.items()}
        return {name: stamp is not None and stamp.trained for name, stamp in stamps.items()}

    @cached_property
    def segmentation_trained(self) -> bool:
        """Whether the segmentation's weights were ever trained, or are not needed."""
        model = self.segmentation.model
        stamp = variants.provenance_of(getattr(model, "model", model))
        return stamp is None or stamp.trained

    @cached_property
    def sizes(self) -> dict[str, float | None]:
        """Saved size of each variant in MiB."""
        return {name: saved_size(model) for name, model in self.items()}

    @cached_property
    def in_int8(self) -> list[str]:
        """Variants of which a layer of the embedding or of their own segmentation is in int8."""
        own = {name: model.model for name, model in self.others.items()}
        return [name for name, model in self.items() if in_int8(model) or (name in own and in_int8(own[name]))]

    def facts(self, name: str) -> dict[str, Any]:
        """Parameters and origin of a variant's weights, as plain JSON values."""
        stamp = variants.provenance_of(self[name])
        weights = {"source": stamp.source, "sha256": stamp.sha256} if stamp else None
        return {"parameters": parameters(self[name]), "weights": weights}
