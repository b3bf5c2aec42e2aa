"""Parameters, multiply-adds and frames: the published figures exactly, and what the modules really hold and do."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from variants.wavlm import PRESETS, Encoder, HeadSizes, Segmenter
from variants.wavlm.counting import GATE, frames, head_multiply_adds, multiply_adds, parameters, released

PUBLISHED = {  # parameters; GMAC per second of audio; GMAC of the whole segmentation on 5 s
    "wavlm-base-plus": (94_381_680, 6.911, 37.5),
    "wavlm-base-plus-s80": (18_881_683, 1.134, 7.6),
    "wavlm-large": (315_452_608, 17.811, 94.4),
    "wavlm-large-s80": (63_095_530, 3.681, 20.9),
}


def held(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", PRESETS)
def test_published_counts(name: str) -> None:
    sizes, (published, per_second, whole) = PRESETS[name], PUBLISHED[name]
    assert released(sizes) == published
    assert round(multiply_adds(sizes, 16_000) / 1e9, 3) == per_second
    on_chunk = multiply_adds(sizes, 80_000) + head_multiply_adds(sizes, HeadSizes(), 11, 80_000)
    assert round(on_chunk / 1e9, 1) == whole


@pytest.mark.parametrize("name", PRESETS)
def test_encoder_holds_what_is_counted(name: str) -> None:
    with torch.device("meta"):
        encoder, segmenter = Encoder(PRESETS[name]), Segmenter(PRESETS[name])
    assert held(encoder) == parameters(PRESETS[name])
    assert held(segmenter.conformer) == 6_091_776
    # the bias of layers without heads is kept, the magnitudes are folded, constants go with their heads
    kept = {"wavlm-base-plus-s80": 2 * 768 - 128 - 93, "wavlm-large-s80": 4 * 1024 - 128 - 230}
    assert parameters(PRESETS[name]) - PUBLISHED[name][0] == kept.get(name, -128)


def test_multiply_adds_are_those_that_run(encoder: Encoder) -> None:
    sizes, samples = encoder.sizes, 16_000
    segmenter = Segmenter(sizes).eval()
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as alone:
        encoder(torch.randn(1, samples))
    gates = frames(samples) * sizes.width * GATE * len(sizes.heads)  # which published counts leave out
    assert alone.get_total_flops() / 2 == multiply_adds(sizes, samples) + gates
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as whole:
        segmenter(torch.randn(1, 1, samples))
    head = (whole.get_total_flops() - alone.get_total_flops()) / 2
    mixing = frames(samples) * sizes.width * (len(sizes.heads) + 1)  # additions and products, no matrix product here
    assert head + mixing == head_multiply_adds(sizes, HeadSizes(), 11, samples)


@pytest.mark.parametrize(("seconds", "count"), [(5, 249), (8, 399)])
def test_frames(seconds: int, count: int, encoder: Encoder) -> None:
    assert frames(seconds * 16_000) == count
    with torch.no_grad():
        assert encoder(torch.zeros(1, seconds * 16_000))[0].shape == (1, count, 64)
