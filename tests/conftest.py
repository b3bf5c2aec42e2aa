"""Models and audio that several test modules share: stock architectures with seeded weights, a short recording."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyannote.audio.models.embedding  # noqa: F401 - now: pytester forgets what its runs import, and these fail the second time
import pyannote.audio.models.segmentation  # noqa: F401
import pytest
import soundfile
import torch
from hypothesis import settings
from made import made_project, store  # noqa: F401 - fixtures
from pyannote.core import Annotation, Segment

from bench.corpus import Recording, sample
from bench.latency.threads import THREAD_VARIABLES, Threads, allowed_cpus, apply
from variants.loading import segmentation_specifications
from variants.provenance import Provenance, stamp

# Every process that a test starts imports this checkout, wherever it runs and whatever checkout is installed, if any.
CHECKOUT = str(Path(__file__).parents[1])
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [CHECKOUT, os.environ.get("PYTHONPATH")]))

# Under pytest-xdist the processes share the cores: threads that wait for one another's cores are slower than one.
# What a test runs is no part of that; pytest-benchmark would disable its benchmarks.
os.environ.pop("PYTEST_XDIST_WORKER", None)
os.environ.pop("COLUMNS", None)  # which it sets for its processes: tables would be as narrow as that
torch.set_num_threads(max(1, torch.get_num_threads() // int(os.environ.pop("PYTEST_XDIST_WORKER_COUNT", 1))))

settings.register_profile("fuzz", max_examples=3000, deadline=None)  # `make fuzz`; else Hypothesis' own 100

BEGIN, SECONDS = 6.5, 10.1  # of pyannote's sample: both of its speakers talk in it, and overlap


def forget_broken_lazy_modules() -> None:
    """Hypothesis asks every imported module for its file; speechbrain's lazy ones then fail to import theirs."""
    for name, module in list(sys.modules.items()):
        if type(module).__module__ == "speechbrain.utils.importutils":
            del sys.modules[name]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems() -> None:
    forget_broken_lazy_modules()  # Hypothesis asks once all is collected


@pytest.fixture(autouse=True)
def no_broken_lazy_modules() -> None:
    forget_broken_lazy_modules()  # and again in each of its tests


@pytest.fixture(autouse=True)
def cpus_and_threads_stay() -> Iterator[None]:
    """A test that pins this process, as every timed run does, leaves the next one all CPUs."""
    cpus, count = allowed_cpus(), torch.get_num_threads()
    variables = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    yield
    if (allowed_cpus(), torch.get_num_threads()) != (cpus, count):
        apply(Threads(count, cpus))
    for name, value in variables.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def voice(rng: np.random.Generator, pitch: float, formant: float, seconds: float) -> np.ndarray:
    """A voice: harmonics of a pitch under a formant, syllables and pauses."""
    time = np.arange(int(seconds * 16000)) / 16000
    glide = np.cumsum(pitch * (1 + 0.1 * np.sin(2 * np.pi * rng.uniform(0.5, 2) * time))) / 16000
    harmonics = np.arange(1, int(6000 / pitch))
    gains = np.exp(-(((harmonics * pitch - formant) / 600) ** 2)) + 0.05
    tone = (gains[:, None] * np.sin(2 * np.pi * harmonics[:, None] * glide)).sum(axis=0)
    syllables = np.clip(np.sin(2 * np.pi * 3 * time + rng.uniform(0, 6)) + 0.3, 0, 1)
    return 0.1 * tone * syllables / np.abs(tone).max() + 1e-4 * rng.standard_normal(len(time))


@pytest.fixture(scope="session")
def speech_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight speakers with two utterances of 6 s each, one folder per speaker."""
    folder = tmp_path_factory.mktemp("speech")
    rng = np.random.default_rng(0)
    for speaker in range(8):
        (folder / f"speaker{speaker}").mkdir()
        for utterance in range(2):
            samples = voice(rng, 90 * 1.17**speaker, 500 + 250 * speaker, 6.0)
            soundfile.write(folder / f"speaker{speaker}" / f"{utterance}.wav", samples, 16000)
    return folder


@pytest.fixture(scope="session")
def stock() -> Any:
    """pyannote's XVectorSincNet with seeded random weights. Not to be changed: `variants.build` copies it."""
    from pyannote.audio.models.embedding import XVectorSincNet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return stamp(XVectorSincNet().eval(), Provenance("test", "a" * 64, trained=True))


@pytest.fixture(scope="session")
def segmenter() -> Any:
    """pyannote's PyanNet, a small one with seeded random weights, scaled so that its outputs cross thresholds."""
    from pyannote.audio.models.segmentation import PyanNet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = PyanNet(lstm={"hidden_size": 16, "num_layers": 1, "bidirectional": True, "monolithic": True})
        model.specifications = segmentation_specifications(3)
        model.build()
        model.eval().classifier.bias.data.zero_()
        with torch.no_grad():
            logits = torch.logit(model(torch.from_numpy(sample()[0].waveform()[None, :, 120_000:200_000])))
            scale = 3 / logits.std(dim=(0, 1))
            model.classifier.weight *= scale[:, None]
            model.classifier.bias -= scale * logits.mean(dim=(0, 1))
        return stamp(model, Provenance("test", "b" * 64, trained=True))


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """`SECONDS` of pyannote's sample, which are no whole number of steps, with their RTTM."""
    (whole,) = sample()
    folder = tmp_path_factory.mktemp("clip")
    first, count = round(BEGIN * 16000), round(SECONDS * 16000)
    soundfile.write(folder / "clip.wav", whole.waveform()[0, first : first + count], 16000, subtype="FLOAT")
    reference = Annotation("clip")
    assert whole.reference is not None
    for i, (turn, _, speaker) in enumerate(whole.reference.itertracks(yield_label=True)):
        if turn.start < BEGIN + SECONDS:
            reference[Segment(round(turn.start - BEGIN, 2), round(min(turn.end - BEGIN, SECONDS), 2)), i] = speaker
    with (folder / "clip.rttm").open("w") as file:
        reference.write_rttm(file)
    return Recording("clip", folder / "clip.wav", reference, None, SECONDS)
