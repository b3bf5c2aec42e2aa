"""Recipe of the pruned WavLM segmentation (Han et al., "Fine-tune Before Structured Pruning", Interspeech 2025).

Four stages, each of which leaves a segmentation in OUT: fine-tune (fine-tuned.safetensors), prune while distilling
(pruned), distil on without gates (distilled), train the diarizer with a new head (diarizer).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from variants.errors import UserError
from variants.loading import load
from variants.speech.data import Conversation, DataError, Speech
from variants.wavlm import Encoder, GatedEncoder, Segmenter, remove
from variants.wavlm.counting import parameters
from variants.wavlm.weights import load_file, save

from . import evaluate
from .wavlm_data import Material
from .wavlm_objectives import DiarizerObjective, DistillationObjective, PruningObjective

RESULTS = {"fine-tune": "fine-tuned", "prune": "pruned", "distil": "distilled", "diarize": "diarizer"}
STAGES = list(RESULTS)
SHOWN = 64  # unseen chunks that the distance to the teacher is measured on


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that only this recipe has; the paper's values are the defaults where it gives any."""
    add = parser.add_argument
    add(
        "--start",
        default="wavlm-base-plus",
        metavar="MODEL",
        help="as --segmentation: a preset, PRESET=WEIGHTS, a file",
    )
    add("--stages", nargs="+", choices=STAGES, default=STAGES, help="those before must be done (default: all)")
    add("--lr-encoder", type=float, default=2e-5, help="of WavLM while the diarizer learns (--lr: of the rest)")
    add("--lr-student", type=float, default=2e-4, help="of WavLM while it is pruned and distilled")
    add("--lr-gates", type=float, default=2e-2, help="of gates and multipliers")
    add("--sparsity", type=float, default=0.8, help="share of WavLM's parameters to remove")
    add("--warm", type=float, default=0.3, help="share of the pruning's steps in which its target rises")
    add("--rows", type=int, default=16, help="chunks per batch")
    add("--chunk", type=float, default=8.0, metavar="SECONDS", help="length of a chunk, at most 20")
    add("--stretches", type=int, default=2000, help="simulated conversations of 20 s")
    add(
        "--real",
        type=float,
        default=0.5,
        help="share of chunks from conversations, where there are simulated ones, too",
    )
    add("--dev", nargs="+", default=(), metavar="NAME", help="conversations for choosing, not training")
    add("--dev-speakers", type=int, default=12, help="held out for choosing the checkpoint")
    add("--dev-stretches", type=int, default=20, help="conversations simulated from these")


def train(speech: Speech | None, conversations: list[Conversation], args: argparse.Namespace) -> None:
    """Run the stages that `args.stages` names and that are not done, in order."""
    if not 0 < args.sparsity < 1 or not 0 < args.warm <= 1 or not 0 < args.chunk <= 20:
        raise DataError("--sparsity and --warm must be between 0 and 1, --chunk between 0 and 20")
    wanted = [stage for stage in STAGES if stage in args.stages]
    begun = [stage for stage in wanted if result(args, stage).exists() or (args.out / stage / "last.ckpt").exists()]
    if begun and not args.resume:
        raise DataError(f"{args.out}: stage {begun[0]} was begun; add --resume to go on, or choose another --out")
    start = load("segmentation", args.start)
    if not isinstance(start, Segmenter):
        raise UserError(f"--start {args.start}: no WavLM segmentation")
    material = Material(speech, conversations, args)
    for number, stage in enumerate(STAGES):
        if stage not in wanted or result(args, stage).exists():
            continue
        torch.manual_seed(args.seed + number)
        before = start if stage == STAGES[0] else finished(args, STAGES[number - 1])
        print(f"{stage}: {parameters(before.encoder.sizes) / 1e6:.2f} M parameters in WavLM", flush=True)
        segmenter, notes = RUN[stage](before, material, args, number)
        save(segmenter, result(args, stage), {"stage": stage, **notes}, half=stage == STAGES[-1])
        print(f"{result(args, stage)}: " + ", ".join(f"{key} {value}" for key, value in notes.items()), flush=True)


def result(args: argparse.Namespace, stage: str) -> Path:
    """The file that a stage leaves."""
    return Path(args.out / f"{RESULTS[stage]}.safetensors")


def finished(args: argparse.Namespace, stage: str) -> Segmenter:
    """What a stage left; UserError if it is not done."""
    if not result(args, stage).exists():
        raise UserError(f"{result(args, stage)}: not there; run the stage {stage} first")
    return load_file(result(args, stage))


def diarizer(
    before: Segmenter, material: Material, args: argparse.Namespace, stage: int
) -> tuple[Segmenter, dict[str, str]]:
    """Stages A and D: the whole segmentation learns to diarize, with a new head in D."""
    segmenter = before
    if stage:
        segmenter = Segmenter(before.encoder.sizes, before.head_sizes)
        segmenter.encoder = before.encoder
    objective = DiarizerObjective(segmenter, args.lr_encoder)

    def validate(trained: nn.Module) -> dict[str, float]:
        network = trained.get_submodule("network")
        return {"dev_error": evaluate.segmentation_error(network, material.signals, material.labels)}

    first = validate(objective.eval())["dev_error"]
    best = _fit(objective, material, validate, "dev_error", args, stage, args.lr)
    _load(objective, best)
    error = validate(objective.eval())["dev_error"]
    return segmenter.eval(), {"dev_error_before": f"{first:.2f}", "dev_error": f"{error:.2f}"}


def prune(
    before: Segmenter, material: Material, args: argparse.Namespace, stage: int
) -> tuple[Segmenter, dict[str, str]]:
    """Stage B: gates close while the hidden states stay near the teacher's; then what they closed is removed."""
    teacher = before.encoder
    student = _copy(teacher)
    objective = PruningObjective(GatedEncoder(student), teacher, args.sparsity, args.warm, args.lr_gates)

    def validate(trained: nn.Module) -> dict[str, float]:
        assert isinstance(trained, PruningObjective)
        return _distance(trained, material) | {"dev_sparsity": trained.student.sparsity().item()}

    _fit(objective, material, validate, "dev_distance", args, stage, args.lr_student)
    _load(objective, args.out / STAGES[stage] / "last.ckpt")  # not the nearest, which is the least pruned
    found = validate(objective.eval())
    before.encoder = remove(student, objective.student.gates())
    left = 1 - parameters(before.encoder.sizes) / parameters(teacher.sizes)
    notes = {"expected_sparsity": f"{found['dev_sparsity']:.4f}", "sparsity": f"{left:.4f}"}
    return before, notes | {"dev_distance": f"{found['dev_distance']:.4f}"}


def distil(
    before: Segmenter, material: Material, args: argparse.Namespace, stage: int
) -> tuple[Segmenter, dict[str, str]]:
    """Stage C: the pruned encoder goes on learning from its teacher, without gates."""
    objective = DistillationObjective(before.encoder, finished(args, STAGES[0]).encoder)

    def validate(trained: nn.Module) -> dict[str, float]:
        assert isinstance(trained, DistillationObjective)
        return _distance(trained, material)

    first = validate(objective.eval())["dev_distance"]
    best = _fit(objective, material, validate, "dev_distance", args, stage, args.lr_student)
    _load(objective, best)
    last = validate(objective.eval())["dev_distance"]
    return before, {"dev_distance_before": f"{first:.4f}", "dev_distance": f"{last:.4f}"}


Stage = Callable[[Segmenter, Material, argparse.Namespace, int], tuple[Segmenter, dict[str, str]]]
RUN: dict[str, Stage] = {"fine-tune": diarizer, "prune": prune, "distil": distil, "diarize": diarizer}


def _copy(encoder: Encoder) -> Encoder:
    other = Encoder(encoder.sizes)
    other.load_state_dict(encoder.state_dict())
    return other


@torch.no_grad()
def _distance(objective: DistillationObjective, material: Material) -> dict[str, float]:
    device = next(objective.parameters()).device
    parts = material.signals[:SHOWN].split(16)
    total = sum(float(objective.distance(part.to(device))) * len(part) for part in parts)
    return {"dev_distance": total / len(material.signals[:SHOWN])}


def _fit(
    objective: nn.Module,
    material: Material,
    validate: Callable[[nn.Module], dict[str, float]],
    monitor: str,
    args: argparse.Namespace,
    stage: int,
    lr: float,
) -> Path:
    from .fit import fit

    out = args.out / STAGES[stage]
    own = argparse.Namespace(**{**vars(args), "out": out, "lr": lr, "resume": (out / "last.ckpt").exists()})
    return fit(objective.train(), material.batches(stage), validate, monitor, own)


def _load(objective: nn.Module, checkpoint: Path) -> None:
    """The averaged weights of a checkpoint."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    inside = {key.removeprefix("objective."): value for key, value in state.items() if key.startswith("objective.")}
    objective.load_state_dict(inside)
