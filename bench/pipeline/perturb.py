"""Changes of a recording that mean nothing: what they do to a DER is the noise of the comparison.

DIART's clustering is online: one embedding a hair away may open a new speaker, and the rest of the file follows. One
run is then one draw; a perturbation is the next one, from the same audio.
"""

from zlib import crc32

import numpy as np

from variants.arrays import Floats

FRAME = 270  # samples: the hop of pyannote's SincNet, and so of the segmentation's frames
SHIFT = FRAME // 2  # samples, either way: 8.4 ms
STEP = 2.0**-15  # of 16-bit PCM
PIECE = 2**20  # samples worked on at a time


def perturbed(waveform: Floats, perturbation: int, name: str = "") -> Floats:
    """A recording (1, samples), float32, under a perturbation; the recording itself for 0.

    It is moved against the chunks by at most `SHIFT` whole samples either way (zeros come in, the length stays),
    dithered by less than one step of 16 bits, and rounded to 16 bits. Number and name are the seed: the same give the
    same changes, and those of two recordings are independent of one another. References stay where they are: half a
    frame is less than the segmentation can place, and moves the error of both sides of a comparison alike.
    """
    if perturbation == 0:
        return waveform
    random = np.random.default_rng([perturbation, crc32(name.encode(errors="surrogateescape"))])
    shift = int(random.integers(-SHIFT, SHIFT, endpoint=True))
    moved = np.pad(waveform, ((0, 0), (SHIFT, SHIFT)))[:, SHIFT - shift : SHIFT - shift + waveform.shape[1]]
    for first in range(0, waveform.shape[1], PIECE):  # an hour's noise would take as much memory as the hour
        piece = moved[:, first : first + PIECE]
        steps = piece / STEP + random.uniform(-1, 1, piece.shape)
        piece[:] = np.clip(np.rint(steps), -(2**15), 2**15 - 1) * STEP
    return moved
