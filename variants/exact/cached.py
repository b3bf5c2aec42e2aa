"""The first convolution over new samples only: chunks overlap, and before normalisation it is linear in the waveform.

A chunk of 5 s that starts 0.25 s after another shares 95 % of its samples; only the instance normalisation of the
waveform differs, an affine map of one scale and one offset per chunk, which commutes with a convolution.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from variants.errors import UnavailableError
from variants.registry import variant

from .folded import frozen_sinc
from .memory import Memory, shift_between


@dataclass
class Stream:
    """The last chunk of one stream: its samples, and what its convolution gave.

    extremes: (2, filters, pool, columns), the highest and lowest raw output of each `pool` successive ones; those
    that begin at position p of the stream lie at [:, :, p % pool, p // pool]. start: the chunk's first position.
    shift: by how many positions it came after the chunk before it.
    """

    waveform: torch.Tensor
    extremes: torch.Tensor
    start: int
    shift: int


class CachedFront(nn.Module):
    """A SincNet up to its first pooling, instance norm included: (rows, 1, samples) -> (rows, filters, frames).

    Raw outputs of the un-normalised waveform are kept, each computed once, so errors do not add up. They serve a row
    that continues one of the last `streams.room` waveforms by a multiple of the stride (0 included) with every shared
    sample equal (NaN equals nothing); any other row is computed anew. Rows may be of any streams, in any order.
    For inference. Not thread-safe: calls change what is kept, so each thread needs a model of its own.
    """

    reuses = "the first convolution"  # of earlier chunks: what the report says

    def __init__(self, norm: nn.InstanceNorm1d, convolution: nn.Conv1d, pool: nn.MaxPool1d) -> None:
        super().__init__()
        if norm.track_running_stats or convolution.bias is not None or any(convolution.padding):
            raise UnavailableError("caching needs instance statistics and an unpadded convolution without bias")
        size = pool.kernel_size
        if not isinstance(size, int) or size != pool.stride or pool.padding or pool.dilation != 1 or pool.ceil_mode:
            raise UnavailableError("caching needs a plain pooling of adjacent outputs")
        self.norm, self.convolution = norm, convolution
        self.pool, self.stride, self.kernel = size, convolution.stride[0], convolution.kernel_size[0]
        # What each filter makes of a constant: the mean that the norm subtracts leaves this much of itself.
        self.gain = nn.Parameter(convolution.weight.detach().sum(dim=2), requires_grad=False)  # (filters, 1)
        self.streams: Memory[Stream] = Memory(self.stride)
        self.scratch = torch.empty(0)

    @torch.no_grad()
    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        rows = [self._row(waveform) for waveform in waveforms[:, 0]]
        return rows[0][None] if len(rows) == 1 else torch.stack(rows)

    def _row(self, waveform: torch.Tensor) -> torch.Tensor:
        """(samples,) -> (filters, frames)."""
        stream = self._continued(waveform) or self._begun(waveform)
        mean = waveform.mean()
        if torch.isfinite(mean):  # else nothing can continue it, and it would push others out
            self.streams.keep(stream)
        frames = ((len(waveform) - self.kernel) // self.stride + 1) // self.pool
        first = stream.start // self.pool
        extremes = stream.extremes[:, :, stream.start % self.pool, first : first + frames]
        variance = torch.square(torch.linalg.vector_norm(waveform - mean)) / len(waveform)
        scale = self.norm.weight / torch.sqrt(variance + self.norm.eps)
        # Rounding is monotone: over a window, an affine map's largest modulus is that of the highest or lowest value.
        shift = self.gain * (self.norm.bias - mean * scale)
        if self.scratch.shape != extremes.shape:  # fresh memory costs more than the arithmetic
            self.scratch = torch.empty_like(extremes, memory_format=torch.contiguous_format)
        return torch.maximum(*torch.add(shift, extremes, alpha=float(scale), out=self.scratch).abs_())

    def _extremes(self, samples: torch.Tensor) -> torch.Tensor:
        """Highest and lowest of each `pool` successive raw outputs, (2, filters, positions)."""
        windows = samples.unfold(0, self.kernel, self.stride)
        raw = (self.convolution.weight[:, 0] @ windows.t())[None]  # for few outputs quicker than a convolution
        return torch.cat([F.max_pool1d(raw, self.pool, 1), -F.max_pool1d(-raw, self.pool, 1)])

    def _begun(self, waveform: torch.Tensor) -> Stream:
        """A stream of which nothing is known; there is room for as many positions again."""
        self.streams.begun(waveform)
        found = self._extremes(waveform)
        extremes = found.new_empty(*found.shape[:2], self.pool, 2 * found.shape[2] // self.pool + 2)
        self._write(extremes, 0, found)
        return Stream(waveform.clone(), extremes, 0, self.streams.shift)

    def _continued(self, waveform: torch.Tensor) -> Stream | None:
        """The stream whose last chunk this one continues, brought up to it; None if there is none."""
        positions = (len(waveform) - self.kernel) // self.stride + 2 - self.pool  # that a chunk has
        for stream in self.streams.likeliest(waveform):
            shift = shift_between(stream.waveform, waveform, self.stride, stream.shift)
            if shift is None or shift >= positions:
                continue
            if shift:
                end = stream.start + positions
                room = stream.extremes.shape[2] * stream.extremes.shape[3]
                if end + shift > room:  # move the live part to the front, its phase unchanged
                    gone = stream.start // self.pool
                    stream.extremes[..., :-gone] = stream.extremes[..., gone:].clone()
                    stream.start, end = stream.start - gone * self.pool, end - gone * self.pool
                fresh = (positions - shift) * self.stride  # where the first unknown position's samples begin
                self._write(stream.extremes, end, self._extremes(waveform[fresh:]))
                stream.start, stream.shift, stream.waveform = stream.start + shift, shift, waveform.clone()
            return stream
        return None

    def _write(self, extremes: torch.Tensor, position: int, found: torch.Tensor) -> None:
        """Store (2, filters, n) for the positions from `position` on."""
        for offset in range(min(self.pool, found.shape[2])):
            block = found[:, :, offset :: self.pool]
            column, phase = divmod(position + offset, self.pool)
            extremes[:, :, phase, column : column + block.shape[2]] = block


def back_layers(sincnet: nn.Module) -> list[nn.Module]:
    """What follows `CachedFront` in a SincNet, in order: (rows, filters, frames) -> (rows, features, frames)."""
    (_, *convolutions), (_, *pools), (first, *norms) = (
        sincnet.get_submodule(name).children() for name in ("conv1d", "pool1d", "norm1d")
    )
    layers = [first, nn.LeakyReLU()]
    for convolution, pool, norm in zip(convolutions, pools, norms, strict=True):
        layers += [convolution, pool, norm, nn.LeakyReLU()]
    return layers


@variant(
    "cached-sinc",
    title="+ cached sinc",
    parent="shared-folded",
    exact=True,
    default=False,
    exported_by="shared-folded",
)
@variant(
    "distilled-cached-sinc",
    title="+ cached sinc",
    parent="distilled-shared-folded",
    exact=True,
    tolerance=1.0,
    default=False,
    exported_by="distilled-shared-folded",
)
def cache_sinc(model: nn.Module) -> nn.Module:
    """Split the SincNet of an embedding or segmentation model into a cached front and the rest."""
    try:
        sincnet = model.get_submodule("sincnet")
        norm, filters, pool = (sincnet.get_submodule(name) for name in ("wav_norm1d", "conv1d.0", "pool1d.0"))
    except AttributeError:
        raise UnavailableError(f"caching needs a SincNet, which {type(model).__name__} has not") from None
    convolution = frozen_sinc(filters)
    assert isinstance(norm, nn.InstanceNorm1d) and isinstance(pool, nn.MaxPool1d)
    model.sincnet = nn.Sequential(CachedFront(norm, convolution, pool), nn.Sequential(*back_layers(sincnet)))
    return model.eval()
