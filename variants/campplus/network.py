"""CAM++ as published, its modules named as in 3D-Speaker's files, so that those load.

Wang et al., "CAM++: A Fast and Efficient Network for Speaker Verification Using Context-Aware Masking", Interspeech
2023.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

BINS, WIDTH = 80, 32  # of the features; channels of the front-end
CHANNELS, GROWTH, BOTTLENECK = 128, 32, 128  # out of the first TDNN layer; added by a layer of a block; within it
BLOCKS = ((12, 1), (24, 2), (16, 2))  # layers and dilation of each
SEGMENT = 100  # frames that share a mask's local context
DIMENSION = 192


def convolution(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, dilation: int = 1) -> nn.Conv1d:
    """One that keeps the length, but for its stride."""
    return nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2 * dilation, dilation, bias=False)


def normed(channels: int) -> nn.Sequential:
    """BatchNorm and ReLU."""
    return nn.Sequential(OrderedDict(batchnorm=nn.BatchNorm1d(channels), relu=nn.ReLU()))


class Residual(nn.Module):
    """Two convolutions beside a shortcut: (rows, channels, bins, frames), the bins divided by `stride`."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(WIDTH, WIDTH, 3, (stride, 1), 1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTH)
        self.conv2 = nn.Conv2d(WIDTH, WIDTH, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(WIDTH)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut.extend([nn.Conv2d(WIDTH, WIDTH, 1, (stride, 1), bias=False), nn.BatchNorm2d(WIDTH)])

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs = torch.relu(self.bn1(self.conv1(inputs)))
        return torch.relu(self.bn2(self.conv2(outputs)) + self.shortcut(inputs))


class Front(nn.Module):
    """The front-end convolution module: (rows, 80, frames) -> (rows, 32 * 10, frames)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, WIDTH, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTH)
        self.layer1 = nn.Sequential(Residual(2), Residual(1))
        self.layer2 = nn.Sequential(Residual(2), Residual(1))
        self.conv2 = nn.Conv2d(WIDTH, WIDTH, 3, (2, 1), 1, bias=False)
        self.bn2 = nn.BatchNorm2d(WIDTH)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        outputs = torch.relu(self.bn1(self.conv1(features.unsqueeze(1))))
        outputs = self.layer2(self.layer1(outputs))
        return torch.relu(self.bn2(self.conv2(outputs))).flatten(1, 2)


def shares(frames: int) -> torch.Tensor:
    """1 where a frame (rows) belongs to a segment (columns) of `SEGMENT` frames, of which the last may be shorter."""
    segments = torch.arange((frames + SEGMENT - 1) // SEGMENT) * SEGMENT
    since = torch.arange(frames)[:, None] - segments
    return ((since >= 0) & (since < SEGMENT)).float()


class Masked(nn.Module):
    """A convolution under a mask made of the context: the mean of all frames plus that of the frame's own segment.

    The mask is the same for all frames of a segment, and worked out once for them. segments: `shares` of the frames.
    """

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.linear_local = convolution(BOTTLENECK, GROWTH, 3, dilation=dilation)
        self.linear1 = nn.Conv1d(BOTTLENECK, BOTTLENECK // 2, 1)
        self.linear2 = nn.Conv1d(BOTTLENECK // 2, GROWTH, 1)

    def forward(self, inputs: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
        context = inputs @ (segments / segments.sum(dim=0) + 1 / segments.shape[0])
        masks = torch.sigmoid(self.linear2(torch.relu(self.linear1(context))))
        outputs: torch.Tensor = self.linear_local(inputs) * (masks @ segments.t())
        return outputs


class Dense(nn.Module):
    """A densely connected layer: `GROWTH` channels to add to those that it gets."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.nonlinear1, self.linear1 = normed(channels), convolution(channels, BOTTLENECK)
        self.nonlinear2, self.cam_layer = normed(BOTTLENECK), Masked(dilation)

    def forward(self, inputs: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(inputs))), segments)
        return outputs


class Block(nn.Module):
    """`count` dense layers."""

    def __init__(self, channels: int, count: int, dilation: int) -> None:
        super().__init__()
        for i in range(count):
            self.add_module(f"tdnnd{i + 1}", Dense(channels + GROWTH * i, dilation))

    def forward(self, outputs: torch.Tensor) -> torch.Tensor:
        segments = shares(outputs.shape[-1]).to(outputs)
        for layer in self.children():
            outputs = torch.cat([outputs, layer(outputs, segments)], dim=1)
        return outputs


class Statistics(nn.Module):
    """Mean and unbiased standard deviation over time: (rows, features, frames) -> (rows, 2 features)."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.cat([features.mean(dim=-1), features.std(dim=-1)], dim=-1)


class Embedding(nn.Module):
    """Pooled statistics (rows, 1024) -> embeddings (rows, 192)."""

    def __init__(self, statistics: int) -> None:
        super().__init__()
        self.linear = convolution(statistics, DIMENSION)
        self.nonlinear = nn.Sequential(OrderedDict(batchnorm=nn.BatchNorm1d(DIMENSION, affine=False)))

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        embeddings: torch.Tensor = self.nonlinear(self.linear(pooled.unsqueeze(2)))
        return embeddings.squeeze(2)


def xvector(blocks: Sequence[tuple[int, int]]) -> nn.Sequential:
    """The densely connected network, from the front-end's features (rows, 320, frames) to embeddings (rows, 192)."""
    channels = CHANNELS
    tdnn = OrderedDict(linear=convolution(WIDTH * BINS // 8, channels, 5, 2), nonlinear=normed(channels))
    layers: dict[str, nn.Module] = {"tdnn": nn.Sequential(tdnn)}
    for number, (count, dilation) in enumerate(blocks, 1):
        grown = channels + GROWTH * count
        layers[f"block{number}"] = Block(channels, count, dilation)
        channels = grown // 2
        transit = OrderedDict(nonlinear=normed(grown), linear=convolution(grown, channels))
        layers[f"transit{number}"] = nn.Sequential(transit)
    layers |= {"out_nonlinear": normed(channels), "stats": Statistics(), "dense": Embedding(2 * channels)}
    return nn.Sequential(OrderedDict(layers))
