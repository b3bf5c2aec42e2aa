"""The unoptimised embedding model, and the control that measures it against itself."""

from torch import nn

from variants.registry import variant


@variant("baseline", title="Baseline", parent=None, paper="Baseline", exact=True)
def baseline(model: nn.Module) -> nn.Module:
    """The loaded embedding model as it is."""
    return model


@variant("baseline-twin", title="Baseline again (control)", exact=True)
def baseline_twin(model: nn.Module) -> nn.Module:
    """The very same model once more: whatever it differs by from the baseline is noise."""
    return model
