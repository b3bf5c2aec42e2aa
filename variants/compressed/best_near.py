"""`best` nearer to the baseline: all of SincNet in float. Slower, and the other end of what int8 has to offer."""

from functools import partial
from pathlib import Path

from torch import nn

from variants.exact.best_exact import cached_graph
from variants.registry import variant

from .best import behind
from .equalised import equalise
from .int8_static import quantisable, sensitive

FRONT = 2  # of the convolutions behind the cached one: SincNet's second and third


def behind_sincnet(path: Path) -> list[str]:
    """What becomes int8 of a graph behind the cached sinc filters: all that is quantisable but the first two."""
    import onnx

    convolutions = [node.name for node in onnx.load(str(path)).graph.node if node.op_type == "Conv"]
    return sorted(set(quantisable(path)) - sensitive(path) - set(convolutions[:FRONT]))


@variant(
    "best-near",
    title="best, SincNet in float",
    parent="shared-folded",
    tolerance=0.3,
    needs=["onnx", "onnxruntime"],
    default=False,
    exported_by="int8-static",
    segmentation="segmentation-cached-int8",
)
def best_near(model: nn.Module) -> nn.Module:
    """As `best`, but what int8 harms most on speech unlike the calibration's is in float, too: docs/int8.md."""
    return cached_graph(equalise(model), partial(behind, nodes=behind_sincnet))
