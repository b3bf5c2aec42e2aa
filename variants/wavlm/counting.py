"""Parameters and multiply-adds of encoders and segmenters, from their sizes alone."""

from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor

from .sizes import BUCKETS, KERNELS, POSITION_GROUPS, POSITION_KERNEL, STRIDES, HeadSizes, Sizes

Amount = TypeVar("Amount", int, Tensor)
GATE = 8  # outputs of the projection that gates the position bias


def parameters(sizes: Sizes) -> int:
    """Parameters of an `Encoder`."""
    return count(sizes, sizes.convs, [len(layer) for layer in sizes.heads], sizes.ffns)


def count(sizes: Sizes, convs: Sequence[Amount], heads: Sequence[Amount], ffns: Sequence[Amount]) -> Amount:
    """Parameters of an encoder of the kind of `sizes` with as many channels, heads and units as given.

    The numbers may be expected ones, tensors of which the result is then a differentiable product.
    """
    width, head = sizes.width, sizes.head_width
    total = convs[0] * KERNELS[0] + convs[-1] + 2 * sum(convs if sizes.large else convs[:1])  # norms; the last scale
    total = total + sum(a * b * kernel for a, b, kernel in zip(convs, convs[1:], KERNELS[1:], strict=False))
    total = total + convs[-1] * (2 + width) + width
    total = total + width * (width // POSITION_GROUPS) * POSITION_KERNEL + width
    total = total + 2 * width + BUCKETS * sizes.all_heads
    for many, units in zip(heads, ffns, strict=True):
        total = total + 4 * width  # two norms
        total = total + many * (4 * width * head + 3 * head + 1) + width
        total = total + (many > 0) * (head * GATE + GATE)
        total = total + units * (2 * width + 1) + width
    return total


def released(sizes: Sizes) -> int:
    """The same as the published models are counted.

    Those keep the positional convolution's magnitudes apart and the gate constants of removed heads, too, and lose
    the bias of the output projection with the last head of a layer, which `Encoder` keeps.
    """
    empty = sum(not layer for layer in sizes.heads)
    constants = sum(sizes.all_heads - len(layer) for layer in sizes.heads if layer)
    return parameters(sizes) + POSITION_KERNEL + constants - empty * sizes.width


def frames(samples: int) -> int:
    """Frames that an encoder makes of `samples`: one every 20 ms, each of 25 ms."""
    for kernel, stride in zip(KERNELS, STRIDES, strict=True):
        samples = (samples - kernel) // stride + 1
    return samples


def multiply_adds(sizes: Sizes, samples: int) -> int:
    """Multiply-adds of an `Encoder` on `samples`: convolutions, linear layers and attention.

    The position bias and the projection of its gate (0.05 %) are left out, as in published counts.
    """
    total, inputs, length, width = 0, 1, samples, sizes.width
    for outputs, kernel, stride in zip(sizes.convs, KERNELS, STRIDES, strict=True):
        length = (length - kernel) // stride + 1
        total += length * kernel * inputs * outputs
        inputs = outputs
    total += length * inputs * width
    total += (length + 1) * width * (width // POSITION_GROUPS) * POSITION_KERNEL  # an even kernel makes one more
    for layer, units in zip(sizes.heads, sizes.ffns, strict=True):
        inner = len(layer) * sizes.head_width
        total += length * (4 * width * inner + 2 * length * inner + 2 * width * units)
    return total


def head_multiply_adds(sizes: Sizes, head: HeadSizes, classes: int, samples: int) -> int:
    """Multiply-adds of all that a `Segmenter` has behind its encoder, on `samples`."""
    length, width = frames(samples), head.width
    block = 4 * width * head.ffn + 4 * width**2 + 2 * length * width + 3 * width**2 + head.kernel * width
    mixing = (len(sizes.heads) + 1) * sizes.width
    return length * (mixing + sizes.width * width + head.blocks * block + width * classes)
