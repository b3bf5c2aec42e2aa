"""`python -m bench.corpus describe | simulate | render`: look at, make and re-render corpora."""

from __future__ import annotations

import argparse
import sys

from variants.commands import command, number, place
from variants.files import utf8_output

from .builtin import EMBEDDED, SPLITS, embedded
from .describe import recording_table, voice_table
from .folder import load_corpus
from .recording import CHUNK, CorpusError
from .render import SEED, render
from .simulation import simulate


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; its exit code."""
    options = _parser().parse_args(arguments)
    return command("bench.corpus", lambda: options.run(options))


def _describe(options: argparse.Namespace) -> None:
    if options.folder is None:
        if options.rttm or options.uem:
            raise CorpusError("--rttm and --uem need a folder of audio")
        parts = [(f"embedded, {split}", embedded(split)) for split in SPLITS]
    else:
        recordings, problems = load_corpus(options.folder, rttm=options.rttm, uem=options.uem)
        problems += [f"{recording.name}: {note}" for recording in recordings for note in recording.notes]
        print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
        if not recordings:
            raise CorpusError(f"{options.folder}: no recording is left")
        parts = [(str(options.folder), recordings)]
    for title, recordings in parts:
        print(f"### {title}\n\n{recording_table(recordings)}\n\n{voice_table(recordings)}\n")


def _simulate(options: argparse.Namespace) -> None:
    for line in simulate(
        options.speech,
        options.out,
        options.conversations,
        options.duration,
        options.speakers,
        options.overlap,
        options.seed,
        f".{options.format}",
    ):
        print(line)


def _render(options: argparse.Namespace) -> None:
    print(*render(options.out, options.seed), sep="\n")


def _counts(text: str) -> tuple[int, ...]:
    if not all(part.isdecimal() and int(part) for part in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers of speakers, such as 2,3,4")
    return tuple(map(int, text.split(",")))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.corpus", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    adding = commands.add_parser("describe", help="tables of a corpus: the embedded one, or a folder's")
    adding.add_argument("folder", nargs="?", type=place)
    adding.add_argument("--rttm", type=place, metavar="FILE|DIR", help="RTTM to use (default: those in the folder)")
    adding.add_argument("--uem", type=place, metavar="FILE|DIR", help="UEM to use (default: those in the folder)")
    adding.set_defaults(run=_describe)

    adding = commands.add_parser("simulate", help="conversations from single-speaker speech")
    adding.add_argument("--speech", type=place, required=True, help="LibriSpeech, or one folder per speaker")
    adding.add_argument("--out", type=place, required=True, help="new or empty folder for audio and RTTM")
    count = number(int, 1)
    adding.add_argument("--conversations", type=count, default=10, metavar="N")
    seconds = number(float, CHUNK, 86400, f"from {CHUNK:g} (one chunk) to 86400 seconds")
    adding.add_argument("--duration", type=seconds, default=60.0, metavar="S", help="seconds of each")
    adding.add_argument("--speakers", type=_counts, default=(2, 3, 4), metavar="2,3,4", help="numbers of speakers")
    share = number(float, 0, 0.5, "from 0 to 0.5")
    adding.add_argument("--overlap", type=share, default=0.1, help="share of overlapped speech aimed at")
    adding.add_argument("--seed", type=number(int, 0), default=0, metavar="K")
    adding.add_argument("--format", choices=("flac", "wav"), default="flac")
    adding.set_defaults(run=_simulate)

    adding = commands.add_parser("render", help="the embedded corpus anew (needs Debian's synthesisers)")
    adding.add_argument("--out", type=place, default=EMBEDDED, help="where dev/ and test/ shall appear")
    adding.add_argument("--seed", type=number(int, 0), default=SEED)
    adding.set_defaults(run=_render)
    return parser


if __name__ == "__main__":
    utf8_output()
    sys.exit(main())
