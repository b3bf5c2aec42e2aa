"""Command line of the recipes: `python -m variants.training COMMAND --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from variants.commands import command as run_command
from variants.commands import number
from variants.files import check_writable, utf8_output
from variants.speech import data

from . import evaluate, segmentation, weights
from .architecture import PyanNet, XVectorSincNet
from .embedding import SPEEDS, AugmentedSpeech, EmbeddingBatches, EmbeddingObjective
from .features import freeze_front, stored


def _conversations(args: argparse.Namespace) -> list[data.Conversation]:
    conversations = data.read_conversations(args.conversations) if args.conversations else []
    return conversations + (data.read_protocol(args.protocol) if args.protocol else [])


def _speech(args: argparse.Namespace) -> data.Speech:
    """Single-speaker speech of all the sources given."""
    speech = data.read_speech(*args.data or ())
    speech.update(data.single_speaker_speech(_conversations(args)))
    if not speech:
        raise data.DataError("no training data: give --data, --conversations or --protocol")
    return speech


def train_embedding(args: argparse.Namespace) -> None:
    from .fit import checkpoint_to_resume, fit

    checkpoint_to_resume(args)  # complains before the work of preparing
    if args.teacher:
        from . import taught

        return taught.train(_speech(args), args)
    torch.manual_seed(args.seed)
    train, held = data.hold_out(_speech(args), args.dev_speakers, args.seed)
    network = XVectorSincNet()
    source = AugmentedSpeech(train, max(args.copies, 1), SPEEDS, args.seed)
    classes = int(source.labels.max()) + 1
    objective = EmbeddingObjective(network, classes, args.margin)
    if args.start:
        network.load_state_dict(weights.load_network(args.start).state_dict())
    if args.copies:
        freeze_front(network)
        settings = {"recipe": "embedding", "seed": args.seed, "copies": args.copies, "speeds": SPEEDS}
        settings["clips"] = [str(clip) for clip, _, _ in source.items]
        batch_source = stored(args.cache or args.out, settings, source, network.sincnet.front, args.workers)
    batches = EmbeddingBatches(
        batch_source if args.copies else source, args.steps, args.batch_seconds, tuple(args.crop), args.seed
    )
    fit(objective, batches, evaluate.held_out_eer(held, args.seed), "dev_eer", args)


def train_segmentation(args: argparse.Namespace) -> None:
    from .fit import checkpoint_to_resume, fit

    checkpoint_to_resume(args)  # complains before the work of preparing
    if not args.data:
        raise data.DataError("no training data: give --data, of which conversations are simulated")
    torch.manual_seed(args.seed)
    network, seed = segmentation.initialise(PyanNet()), args.seed
    train, held = data.hold_out(data.read_speech(*args.data), args.dev_speakers, seed)
    simulated = segmentation.SimulatedStretches(train, args.stretches, seed)
    real = [talk for talk in _conversations(args) if talk.name not in args.exclude]
    mixed = segmentation.RealStretches([talk for talk in real if talk.name not in args.dev], args.copies, seed)
    freeze_front(network)
    folder, front = args.cache or args.out, network.sincnet.front
    settings: dict[str, object] = {"recipe": "segmentation", "seed": seed, "speakers": sorted(train)}
    simulated_store = stored(folder, settings | {"stretches": args.stretches}, simulated, front, args.workers)
    settings |= {"copies": args.copies, "real": [str(talk) for talk in real], "dev": args.dev}
    real_store = stored(folder, settings, mixed, front, args.workers) if len(mixed) else None
    dev = segmentation.SimulatedStretches(held, args.dev_stretches, seed + 1)
    checks = {"dev_simulated": evaluate.chunks(dev[item] for item in range(len(dev)))}
    unseen = segmentation.RealStretches([talk for talk in real if talk.name in args.dev], 1, seed)
    if len(unseen):
        checks["dev_real"] = evaluate.chunks(unseen[item] for item in range(len(unseen)))

    def validate(objective: nn.Module) -> dict[str, float]:
        errors = {
            name: evaluate.segmentation_error(objective.get_submodule("network"), *check)
            for name, check in checks.items()
        }
        return errors | {"dev_error": sum(errors.values()) / len(errors)}

    batches = segmentation.SegmentationBatches(simulated_store, real_store, args.real, args.steps, args.rows, seed)
    fit(segmentation.SegmentationObjective(network), batches, validate, "dev_error", args)


def train_student(args: argparse.Namespace) -> None:
    from . import distill, student
    from .fit import checkpoint_to_resume

    checkpoint_to_resume(args)  # complains before the work of preparing
    teacher = student.load_teacher(args.teacher)
    if args.protocol and args.factor is not None:
        from . import arcface_task

        arcface_task.train(teacher, args)
    else:
        distill.train(teacher, _speech(args), args)


def train_pruned(args: argparse.Namespace) -> None:
    from . import prune, student

    prune.train(student.load_teacher(args.teacher), _speech(args), args)


def train_streaming(args: argparse.Namespace) -> None:
    from . import streaming

    streaming.train(_speech(args), args)


def train_streaming_segmentation(args: argparse.Namespace) -> None:
    from . import streaming_segmentation

    streaming_segmentation.train(_speech(args), args)


def train_wavlm(args: argparse.Namespace) -> None:
    from . import wavlm

    wavlm.train(data.read_speech(*args.data) if args.data else None, _conversations(args), args)


def evaluate_embedding(args: argparse.Namespace) -> None:
    result = evaluate.evaluate_embedding(
        weights.load_network(args.weights), data.read_speech(args.speech), args.seconds
    )
    print(" ".join(f"{name}={value:.2f}" for name, value in result.items()))


def evaluate_segmentation(args: argparse.Namespace) -> None:
    network, conversations = weights.load_network(args.weights), data.read_conversations(args.conversations)
    print(f"local_error={evaluate.evaluate_segmentation(network, conversations):.2f}")


def export(args: argparse.Namespace) -> None:
    check_writable(args.out, "--out")
    network = weights.mean_of([weights.load_network(path) for path in args.checkpoint])
    weights.export(network, args.out, weights.taught_by(args.checkpoint[0]))
    print(f"{args.out}: {args.out.stat().st_size / 2**20:.2f} MiB")


def _parser() -> argparse.ArgumentParser:
    from . import fit, wavlm

    parser = argparse.ArgumentParser(prog="python -m variants.training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    recipe = command("embedding", train_embedding, "Train the speaker embedding.")
    _add_data(recipe)
    fit.add_arguments(recipe, steps=1800, lr=7e-4)
    recipe.add_argument("--batch-seconds", type=number(float, 1), default=60, help="of crops per batch")
    recipe.add_argument("--crop", type=float, nargs=2, default=(2.0, 5.0), metavar="SECONDS")
    recipe.add_argument("--margin", type=float, default=0.2, help="of ArcFace, in radians")
    recipe.add_argument("--dev-speakers", type=number(int, 1), default=12, help="held out for choosing the checkpoint")
    recipe.add_argument("--start", "--init", type=Path, metavar="FILE", help="weights to start from")
    group = recipe.add_argument_group("another embedding teaches, without labels (docs/taught.md)")
    group.add_argument("--teacher", metavar="MODEL", help="campplus, or as pytest's --embedding (default: none)")
    group.add_argument(
        "--crops", type=number(int, 1), default=20_000, help="of virtual voices, which it hears once (%(default)s)"
    )
    group.add_argument(
        "--mixing", type=number(float, 0, 1), default=0.1, help="share of these that are two voices at once"
    )
    group.add_argument(
        "--arcface", type=number(float, 0), default=0.0, help="weight of a loss over speakers and their speeds"
    )
    group.add_argument("--dropout", type=number(float, 0, 1), default=0.1, help="of the pooled statistics")
    group.add_argument("--dev", nargs="+", default=(), metavar="SPEAKER", help="instead of --dev-speakers drawn ones")
    group.add_argument("--free-front", action="store_true", help="train the sinc filters, too")

    recipe = command("segmentation", train_segmentation, "Train the segmentation.")
    _add_data(recipe)
    fit.add_arguments(recipe, steps=3000, lr=1e-3)
    recipe.add_argument("--rows", type=int, default=16, help="chunks of 5 s per batch")
    recipe.add_argument("--stretches", type=int, default=2000, help="simulated conversations of 20 s")
    recipe.add_argument("--real", type=float, default=0.15, help="share of chunks from --conversations")
    recipe.add_argument("--dev", nargs="+", default=(), metavar="NAME", help="conversations for choosing, not training")
    recipe.add_argument("--exclude", nargs="+", default=(), metavar="NAME", help="conversations to leave out")
    recipe.add_argument("--dev-speakers", type=number(int, 1), default=12, help="held out for choosing the checkpoint")
    recipe.add_argument("--dev-stretches", type=int, default=20, help="conversations simulated from these")

    recipe = command("distill", train_student, "Teach the reduced student (docs/distillation.md).")
    _add_data(recipe)
    fit.add_arguments(recipe, steps=600, lr=1e-4)
    recipe.add_argument("--teacher", default="bundled", metavar="FILE", help="bundled, or as pytest's --embedding")
    recipe.add_argument("--start", choices=["teacher", "scratch"], default="teacher", help="the student's first layers")
    recipe.add_argument("--pooling", choices=["weighted", "plain"], default="weighted", help="weighted: as DIART does")
    recipe.add_argument(
        "--frames",
        type=float,
        default=0.1,
        help="weight of the auxiliary loss on the levels' outputs, if from the teacher",
    )
    recipe.add_argument(
        "--lambda",
        dest="factor",
        type=float,
        metavar="FACTOR",
        help="the paper's way: ArcFace plus FACTOR times the distance; a --protocol then goes through pyannote's task",
    )
    recipe.add_argument("--batch-seconds", type=number(float, 1), default=60, help="of crops per batch")
    recipe.add_argument("--crop", type=float, metavar="SECONDS", help="default: 5 (weighted), 2 (plain)")
    recipe.add_argument("--dev-speakers", type=number(int, 1), default=12, help="held out for choosing the checkpoint")

    recipe = command("prune", train_pruned, "Prune channels of the embedding while it teaches (docs/pruning.md).")
    _add_data(recipe)
    fit.add_arguments(recipe, steps=600, lr=2e-4)
    recipe.add_argument("--teacher", default="bundled", metavar="FILE", help="bundled, or as pytest's --embedding")
    recipe.add_argument("--share", type=float, default=0.5, help="of the trunk's multiply-adds to remove")
    recipe.add_argument("--order", choices=["fine-tune-first", "prune-first"], default="fine-tune-first")
    recipe.add_argument(
        "--towards",
        choices=["fine-tuned", "original"],
        default="fine-tuned",
        help="who teaches after the channels went, where fine-tuning comes first",
    )
    recipe.add_argument("--norm", action="store_true", help="choose channels by their L2 norm, do not learn which")
    recipe.add_argument("--fine-tune-steps", type=int, default=100, help="of the embedding's own task; 0: none")
    recipe.add_argument("--distil-steps", type=int, default=600, help="after the channels went; 0: none")
    recipe.add_argument("--distil-lr", type=float, default=5e-4, help="of these (--lr: of all before them)")
    recipe.add_argument("--gate-lr", type=float, default=5e-2, help="of gates and multipliers")
    recipe.add_argument("--batch-seconds", type=number(float, 1), default=60, help="of crops per batch")
    recipe.add_argument("--crop", type=float, default=5.0, help="seconds")
    recipe.add_argument("--dev-speakers", type=number(int, 1), default=12, help="held out for choosing the checkpoint")
    recipe.add_argument("--data-seed", type=int, default=1, help="of the stored features and of who is held out")

    recipe = command("streaming", train_streaming, "Teach the trunk to do with statistics that move slowly.")
    _add_data(recipe)
    fit.add_arguments(recipe, steps=600, lr=1e-4)
    recipe.add_argument("--teacher", default="bundled", metavar="MODEL", help="as pytest's --embedding")
    recipe.add_argument("--rows", type=number(int, 1), default=4, help="simulated stretches of 20 s per batch")
    recipe.add_argument("--chunks", type=number(int, 1), default=6, help="of each stretch that are compared")
    recipe.add_argument("--dev-speakers", type=number(int, 1), default=12, help="held out for choosing the checkpoint")
    recipe.add_argument("--dev-stretches", type=number(int, 1), default=12, help="conversations simulated from these")

    text = "Teach a segmentation to carry its state (docs/streaming.md)."
    recipe = command("streaming-segmentation", train_streaming_segmentation, text)
    _add_data(recipe)
    fit.add_arguments(recipe, steps=850, lr=5e-4)
    recipe.add_argument("--teacher", default="bundled", metavar="MODEL", help="as pytest's --segmentation")
    recipe.add_argument("--rows", type=number(int, 1), default=16, help="windows of 10 s per batch")
    recipe.add_argument("--stretches", type=number(int, 1), default=3000, help="simulated conversations of 20 s")
    recipe.add_argument("--dev-speakers", type=number(int, 4), default=24, help="held out for choosing the checkpoint")
    recipe.add_argument("--dev-stretches", type=number(int, 1), default=32, help="conversations simulated from these")

    recipe = command("wavlm", train_wavlm, "Fine-tune, prune, distil and train a WavLM segmentation (docs/wavlm.md).")
    _add_data(recipe)
    fit.add_arguments(recipe, steps=20_000, lr=1e-3)
    wavlm.add_arguments(recipe)

    part = command("evaluate", lambda _: None, "Figures of merit of trained weights.")
    kinds = part.add_subparsers(required=True, metavar="KIND")
    kind = kinds.add_parser("embedding", help="equal error rate on short segments")
    kind.set_defaults(run=evaluate_embedding)
    kind.add_argument("--speech", type=Path, required=True, metavar="DIR")
    kind.add_argument("--seconds", type=float, default=3.0)
    kind.add_argument("--weights", type=Path, required=True, metavar="FILE")
    kind = kinds.add_parser("segmentation", help="local error rate over chunks of 5 s")
    kind.set_defaults(run=evaluate_segmentation)
    kind.add_argument("--conversations", type=Path, required=True, metavar="DIR")
    kind.add_argument("--weights", type=Path, required=True, metavar="FILE")

    part = command("export", export, "Write a checkpoint as float16 safetensors with pyannote.audio's keys.")
    part.add_argument("checkpoint", type=Path, nargs="+", help="of several, the mean of their weights")
    part.add_argument("--out", type=Path, required=True, metavar="FILE")
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, nargs="+", metavar="DIR", help="single-speaker speech, by speaker")
    parser.add_argument("--conversations", type=Path, metavar="DIR", help="audio files with RTTM beside them")
    parser.add_argument(
        "--protocol", metavar="NAME", help="pyannote.database protocol, e.g. AMI.SpeakerDiarization.mini"
    )
    parser.add_argument("--cache", type=Path, metavar="DIR", help="for stored features (default: --out)")
    parser.add_argument(
        "--copies",
        type=number(int, 0),
        default=4,
        help="augmented copies to store sinc features of; 0: augment each crop anew (`embedding`: train the filters)",
    )


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    args = _parser().parse_args(arguments)
    if getattr(args, "threads", None):
        torch.set_num_threads(args.threads)
    return run_command("variants.training", lambda: args.run(args))


if __name__ == "__main__":
    utf8_output()
    sys.exit(main())
