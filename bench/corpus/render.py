"""Renders the embedded corpus from embedded/texts.txt with the speech synthesisers of Debian.

Seeded: the same engines give the same files. Other versions of an engine may time the words differently;
audio and RTTM still agree, since the turns are measured on what was synthesised.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from variants.arrays import Floats
from variants.speech.simulate import conversation

from .builtin import EMBEDDED, SPLITS
from .recording import SAMPLE_RATE, CorpusError
from .writing import check_free, new_folder, write_conversation

SEED = 2026
SECONDS = 64.0
PACKAGES = "flite festival festvox-kallpc16k festvox-kdlpc16k festvox-ca-ona-hts festvox-ru espeak-ng"


@dataclass(frozen=True)
class Voice:
    """`name` is the engine's own; `settings` its options (espeak-ng) or the encoding it reads (festival)."""

    engine: str
    name: str
    settings: tuple[str, ...] = ()


# dev and test share no voice, nor two engines' versions of one human speaker.
VOICES = {
    "awb": Voice("flite", "awb"),
    "ked": Voice("festival", "ked_diphone", ("ascii",)),
    "ona": Voice("festival", "upc_ca_ona_hts", ("iso-8859-15",)),
    "una": Voice("espeak-ng", "en-us+Andrea", ("-s", "160")),
    "gil": Voice("espeak-ng", "en-gb-scotland+m7", ("-p", "20", "-s", "150")),
    "rms": Voice("flite", "rms"),
    "slt": Voice("flite", "slt"),
    "kal": Voice("festival", "kal_diphone", ("ascii",)),
    "nsh": Voice("festival", "msu_ru_nsh_clunits", ("utf-8",)),
    "bea": Voice("espeak-ng", "en-us+f5", ("-p", "60", "-s", "165")),
    "eva": Voice("espeak-ng", "en-gb-x-rp+steph", ("-p", "40", "-s", "150")),
    "tom": Voice("espeak-ng", "en-us+m3", ("-p", "25", "-s", "155")),
}


@dataclass(frozen=True)
class Script:
    """One conversation to render: its utterances by voice."""

    split: str
    name: str
    lines: Mapping[str, Sequence[str]]


def read_scripts(path: Path) -> list[Script]:
    """The conversations of a text file (its head tells the format); CorpusError with the line at fault."""
    scripts: list[Script] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if header := re.fullmatch(r"== (\w+)/([\w-]+)", line):
            if header[1] not in SPLITS:
                raise CorpusError(f"{path}, line {number}: no split named {header[1]}; known: {SPLITS}")
            scripts.append(Script(header[1], header[2], {}))
            continue
        voice, _, text = line.partition(": ")
        if not scripts or voice not in VOICES or not text:
            raise CorpusError(f"{path}, line {number}: expected `== split/name` or `voice: text`")
        assert isinstance(scripts[-1].lines, dict)
        scripts[-1].lines.setdefault(voice, []).append(text)
    return scripts


def synthesise(voice: Voice, text: str) -> Floats:
    """Speech (samples,) at 16 kHz, float32; CorpusError saying what to install if the voice is missing."""
    with tempfile.TemporaryDirectory() as folder:
        out, spoken, listing = Path(folder) / "out.wav", text.encode("utf-8"), ["true"]
        if voice.engine == "flite":
            command, listing = ["flite", "-voice", voice.name, "-t", text, "-o", str(out)], ["flite", "-lv"]
        elif voice.engine == "festival":
            spoken = text.encode(voice.settings[0])
            command = ["text2wave", "-eval", f"(voice_{voice.name})", "-o", str(out)]
        else:
            command = ["espeak-ng", "-v", voice.name, *voice.settings, "-w", str(out), text]
            listing = ["espeak-ng", "--voices=variant"]
        try:
            # flite and espeak-ng take another voice without a word if they lack the one they are asked for.
            offered = subprocess.run(listing, capture_output=True, encoding="utf-8", check=True, timeout=60).stdout
            if offered and voice.name.split("+")[-1] not in offered.replace("!v/", "").split():
                raise FileNotFoundError(voice.name)
            subprocess.run(command, input=spoken, capture_output=True, check=True, timeout=120)
            samples, rate = soundfile.read(out, dtype="float32")
        except (OSError, subprocess.SubprocessError, RuntimeError):
            raise CorpusError(
                f"{voice.engine} cannot speak with voice {voice.name}; on Debian: apt-get install {PACKAGES}"
            ) from None
    if rate != SAMPLE_RATE:
        from scipy.signal import resample_poly  # here, because importing it takes a second

        samples = resample_poly(samples, SAMPLE_RATE, rate)
    return np.asarray(samples, np.float32)


def quantisation_step(samples: Floats) -> int:
    """The largest power of two, in 16-bit steps, that is at most the RMS of the quietest 1 % of 10 ms frames.

    Its rounding noise then lies at least 10.8 dB below the background noise, and the file halves.
    """
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160) * 32767.0
    quietest = np.percentile(np.sqrt(np.mean(frames**2, axis=1)), 1)
    return 1 << max(int(np.log2(max(quietest, 1.0))), 0)


def render(out: Path, seed: int = SEED) -> list[Path]:
    """Writes all conversations to `out`/dev and `out`/test (new or empty folders); returns their audio."""
    scripts = read_scripts(EMBEDDED / "texts.txt")
    missing = [tool for tool in ("flite", "text2wave", "espeak-ng") if shutil.which(tool) is None]
    if missing:
        raise CorpusError(f"{', '.join(missing)} not found; on Debian: apt-get install {PACKAGES}")
    for split in SPLITS:
        check_free(out / split)
    for split in SPLITS:
        with new_folder(out / split) as folder:
            for index, script in enumerate(scripts):
                if script.split == split:
                    rng = np.random.default_rng([seed, index])
                    speech = {
                        name: [synthesise(VOICES[name], text) for text in texts] for name, texts in script.lines.items()
                    }
                    overlap = rng.uniform(0.07, 0.15)
                    samples, turns = conversation(rng, speech, SECONDS, SAMPLE_RATE, overlap)
                    write_conversation(folder, script.name, samples, turns, step=quantisation_step(samples))
    return sorted(out.glob("*/*.flac"))
