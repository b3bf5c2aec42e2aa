"""Where a model's weights come from; travels with the model through every technique."""

from dataclasses import dataclass
from typing import TypeVar

Stamped = TypeVar("Stamped")


@dataclass(frozen=True)
class Provenance:
    """`source` as the user would name it, the weights' SHA-256, and whether anything was ever trained."""

    source: str
    sha256: str
    trained: bool

    def __str__(self) -> str:
        return f"{self.source} ({self.sha256[:12]}{'' if self.trained else ', random weights'})"


def stamp(model: Stamped, provenance: Provenance) -> Stamped:
    """Attach `provenance` to `model` (kept by deepcopy) and return the model."""
    setattr(model, "_provenance", provenance)  # noqa: B010 - nn.Module types its attributes as tensors
    return model


def provenance_of(model: object) -> Provenance | None:
    """The provenance stamped on `model`, None if there is none."""
    return getattr(model, "_provenance", None)
