"""What a checkpoint may claim of its sizes: a model is never built larger than its file, nor for ever."""

import math
from collections.abc import Mapping
from typing import Any

from .inert import Strided

MOST_MFCC = 2**13  # of anything in an XVectorMFCC, whose front takes its memory before its sizes are compared


def check_claims(name: str, settings: Mapping[str, Any], specifications: Any, views: Mapping[str, Strided]) -> None:
    """ValueError if the stock class `name` would loop, or allocate, beyond what the weights in the file can fill."""
    blocks = {view.stored.key: view.stored.count for view in views.values()}
    claimed = {key: math.prod(view.size) for key, view in views.items()}
    if sum(claimed.values()) > 4 * sum(blocks.values()):  # some weights are shared
        raise ValueError(
            f"its weights claim more numbers than it holds, {max(claimed, key=claimed.__getitem__)} the most"
        )
    layers = [part.get("num_layers") for part in settings.values() if isinstance(part, Mapping)]
    if any(isinstance(count, (int, float)) and count > len(views) for count in layers):
        raise ValueError("its settings claim more layers than it has weights")
    at_once = specifications.powerset_max_classes
    if at_once is not None and not 0 < at_once <= len(specifications.classes):
        raise ValueError(f"its specifications claim {at_once} classes at once")
    if name == "XVectorMFCC" and any(value > MOST_MFCC for value in _sizes(settings)):
        raise ValueError(f"its settings claim a size above {MOST_MFCC}")


def _sizes(settings: Mapping[str, Any]) -> list[int]:
    """All counts among settings but the sample rate."""
    inner = [size for part in settings.values() if isinstance(part, Mapping) for size in _sizes(part)]
    return inner + [value for key, value in settings.items() if isinstance(value, int) and key != "sample_rate"]
