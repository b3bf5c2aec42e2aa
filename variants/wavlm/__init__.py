"""WavLM segmentation, dense and pruned: an own encoder with sizes of its own in each layer, and the head behind it.

Method: Han et al., "Fine-tune Before Structured Pruning" (Interspeech 2025), on WavLM by Chen et al. (IEEE JSTSP 2022).
Needs torch only; transformers is needed to read the original weights, safetensors to read and write files.
"""

from .encoder import Encoder, Gates
from .gated import GatedEncoder
from .removal import remove
from .segmenter import Segmenter
from .sizes import PRESETS, HeadSizes, Sizes

__all__ = ["PRESETS", "Encoder", "GatedEncoder", "Gates", "HeadSizes", "Segmenter", "Sizes", "remove"]
