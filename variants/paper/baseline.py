"""The unoptimised embedding model, and the control that measures it against itself."""

from typing import Any

from variants.registry import variant


@variant("baseline", title="Baseline", parent=None, paper="Baseline", exact=True)
def baseline(model: Any) -> Any:
    """The loaded embedding model as it is."""
    return model


@variant("baseline-twin", title="Baseline again (control)", exact=True)
def baseline_twin(model: Any) -> Any:
    """The very same model once more: whatever it differs by from the baseline is noise."""
    return model
