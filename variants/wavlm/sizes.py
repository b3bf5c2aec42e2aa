"""Sizes of WavLM encoders, layer by layer: the two dense ones, and what pruning left of them in published models."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

KERNELS, STRIDES = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)  # of the convolutions, in samples and frames
POSITION_KERNEL, POSITION_GROUPS = 128, 16  # of the convolution that tells frames where they are
BUCKETS, MAX_DISTANCE = 320, 800  # of relative positions


@dataclass(frozen=True)
class Sizes:
    """An encoder's sizes.

    convs: channels of the seven convolutions. heads: of each layer, the heads that it has, by their index in the
    dense model. ffns: of each layer, feed-forward units. width: of hidden states. all_heads: of a dense layer; each
    is width / all_heads wide. large: built as WavLM Large is, with a layer norm in every convolution and in front of
    attention and feed-forward, instead of one group norm in the first convolution and layer norms behind both.
    """

    convs: tuple[int, ...]
    heads: tuple[tuple[int, ...], ...]
    ffns: tuple[int, ...]
    width: int
    all_heads: int
    large: bool

    def __post_init__(self) -> None:
        if len(self.convs) != len(KERNELS) or len(self.heads) != len(self.ffns):
            raise ValueError(f"sizes need {len(KERNELS)} convolutions, and heads and units of each layer")
        if self.width % self.all_heads or self.width % POSITION_GROUPS or min(self.convs) < 1:
            raise ValueError(
                "width must be a multiple of the heads and of the position groups; no convolution is empty"
            )
        if any(not 0 <= head < self.all_heads for layer in self.heads for head in layer):
            raise ValueError(f"heads must be from 0 to {self.all_heads - 1}")

    @property
    def head_width(self) -> int:
        return self.width // self.all_heads

    @classmethod
    def of(cls, plain: dict[str, Any]) -> "Sizes":
        """From the plain values that `dataclasses.asdict` and JSON made of one."""
        fields = dict(plain)
        fields["convs"], fields["ffns"] = tuple(fields["convs"]), tuple(fields["ffns"])
        fields["heads"] = tuple(tuple(layer) for layer in fields["heads"])
        return cls(**fields)


@dataclass(frozen=True)
class HeadSizes:
    """Sizes of the Conformer head behind an encoder: of hidden states, feed-forward, and the depthwise kernel."""

    width: int = 256
    ffn: int = 1024
    heads: int = 4
    kernel: int = 31
    blocks: int = 4


def dense(convs: int, layers: int, heads: int, ffn: int, width: int, large: bool) -> Sizes:
    """Sizes with as many of everything in each layer."""
    return Sizes((convs,) * len(KERNELS), (tuple(range(heads)),) * layers, (ffn,) * layers, width, heads, large)


def first(counts: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """The first heads of each layer, where only their number is known: cost does not depend on which."""
    return tuple(tuple(range(count)) for count in counts)


BASE_PLUS = dense(512, 12, 12, 3072, 768, large=False)
LARGE = dense(512, 24, 16, 4096, 1024, large=True)
# What is left at 80 % sparsity in the models that the authors released (multi-domain).
BASE_PLUS_S80 = Sizes(
    (90, 161, 173, 181, 351, 155, 137),
    ((1, 6), (5, 7, 8), (0, 3, 9), (0, 1, 4, 8, 11), (6, 8), (0,), (7, 8, 10, 11), (0, 1, 4, 8), (), (), (4, 7), (5,)),
    (666, 660, 649, 1080, 237, 299, 437, 573, 53, 80, 211, 334),
    BASE_PLUS.width,
    BASE_PLUS.all_heads,
    large=False,
)
LARGE_S80 = Sizes(
    (512, 153, 224, 255, 302, 368, 211),
    first((5, 3, 6, 6, 5, 5, 3, 5, 4, 0, 2, 4, 0, 3, 2, 1, 0, 0, 1, 2, 6, 9, 10, 8)),
    (
        *(1092, 925, 759, 646, 745, 615, 684, 958, 286, 294, 406, 377),
        *(463, 542, 298, 236, 96, 104, 134, 211, 473, 1011, 1770, 1316),
    ),
    LARGE.width,
    LARGE.all_heads,
    large=True,
)
PRESETS = {
    "wavlm-base-plus": BASE_PLUS,
    "wavlm-base-plus-s80": BASE_PLUS_S80,
    "wavlm-large": LARGE,
    "wavlm-large-s80": LARGE_S80,
}
