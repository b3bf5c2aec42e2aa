"""The streaming trunk in int8: near the float one, and all of it but the sinc filters and the pooling in int8."""

from typing import Any

import torch

import variants
from bench.corpus import Recording
from bench.latency.floor import operations

# multiply-adds for one frame, by hand: 9 and 3 positions of SincNet's second and third convolution, five TDNN levels
BEHIND = 9 * 80 * 5 * 60 + 3 * 60 * 5 * 60 + 512 * (60 * 5 + 2 * 512 * 3 + 512 + 1500)
SINC = 27 * 251 * 80  # 9 of its outputs, each the largest of three
POOLING, LINEAR = 2 * 3 * 279 * 1500, 3 * 3000 * 512  # of three rows


def test_work_is_that_of_the_new_frames_and_in_int8(stock: Any, clip: Recording) -> None:
    wave = torch.from_numpy(clip.waveform())[0].float()
    weights = torch.rand(3, 293, generator=torch.Generator().manual_seed(0)) ** 6
    found, scales = {}, []
    for name in ("streaming-trunk", "streaming-trunk-int8"):
        model = variants.build(name, stock)
        rows = [wave[begin : begin + 80_000].expand(3, 1, -1) for begin in (0, 4000, 8000)]
        model(rows[0], weights), model(rows[1], weights)
        counted = operations(model, lambda model=model, last=rows[2]: model(last, weights))
        assert counted is not None
        # 8000 = 29.6 frames: 15 were new in the second chunk, 15 are in the third, and as many come again
        in_float, in_int8 = (counted.float32 / 2, counted.int8 / 2)
        assert in_float + in_int8 == 15 * (SINC + 2 * BEHIND) + POOLING + LINEAR
        assert in_int8 == (2 * 15 * BEHIND + LINEAR if "int8" in name else 0)
        scales.append(model.stats_pool.scale)
        found[name] = [model(chunk, weights) for chunk in rows]  # the last of them again
    assert not torch.equal(*scales), "equalised"
    for mine, other in zip(*found.values(), strict=True):
        assert torch.cosine_similarity(mine, other).min() > 0.99
