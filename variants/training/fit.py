"""Lightning around any objective: optimiser, averaging, checkpoints, logs, resume, several devices."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from variants.commands import number
from variants.files import check_writable
from variants.pruning import Groups, PercentileClip
from variants.speech.data import DataError

Validate = Callable[[nn.Module], dict[str, float]]  # of the objective, in evaluation mode


def add_arguments(parser: argparse.ArgumentParser, steps: int, lr: float) -> None:
    """Options that all recipes share."""
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="logs and checkpoints")
    parser.add_argument(
        "--steps", type=number(int, 0), default=steps, help="optimiser steps in all (default %(default)s)"
    )
    parser.add_argument("--epoch-steps", type=number(int, 1), default=100, help="steps between checkpoints")
    parser.add_argument("--keep", action="store_true", help="keep every checkpoint, as OUT/step=N.ckpt")
    parser.add_argument("--lr", type=float, default=lr, help="peak learning rate (default %(default)s)")
    parser.add_argument("--weight-decay", type=float, default=0.05)
    parser.add_argument("--average", type=float, default=0.99, help="decay of the averaged weights")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=number(int, 0), default=1, help="loader processes (default %(default)s)")
    parser.add_argument("--accelerator", default="auto", help="cpu, gpu or auto")
    parser.add_argument("--devices", type=number(int, 1), default=1, help="more than one: Lightning's DDP")
    parser.add_argument("--threads", type=number(int, 1), help="threads of PyTorch (default: its own choice)")
    parser.add_argument("--resume", action="store_true", help="go on from OUT/last.ckpt")


def checkpoint_to_resume(args: argparse.Namespace) -> Path | None:
    """`last.ckpt` of `args.out` where to go on from it, None where a run starts; none is overwritten unasked."""
    last = Path(args.out, "last.ckpt")
    check_writable(last, "--out")
    if args.resume and not last.exists():
        raise DataError(f"{last}: nothing to resume; leave --resume out to start")
    if last.exists() and not args.resume:
        raise DataError(f"{last} exists; add --resume to go on from it, or choose another --out")
    return last if args.resume else None


def learning_rate(progress: float) -> float:
    """Factor of the peak: 5 % warm-up, constant, linear fall to 1 % over the last 35 %."""
    return max(min(progress / 0.05, 1.0, (1 - progress) / 0.35), 0.01)


class Training(L.LightningModule):
    """Minimises `objective(batch, progress)`; logs samples per second of the loader and of training.

    An objective may bring `parameter_groups(lr)`, AdamW's groups, and `clip`, a `PercentileClip` for its gradient.
    """

    def __init__(self, objective: nn.Module, validate: Validate, args: argparse.Namespace) -> None:
        super().__init__()
        self.objective, self.validate, self.args = objective, validate, args
        self.ended = 0.0

    def configure_optimizers(self):  # type: ignore[no-untyped-def]  # Lightning's own union of return types
        groups: Callable[[float], Groups] | None = getattr(self.objective, "parameter_groups", None)
        trained = (parameter for parameter in self.parameters() if parameter.requires_grad)
        parameters = trained if groups is None else groups(self.args.lr)
        optimiser = torch.optim.AdamW(parameters, lr=self.args.lr, weight_decay=self.args.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: learning_rate((step + 1) / self.args.steps)
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(self, *args: Any, **options: Any) -> None:  # handed on
        clip: PercentileClip | None = getattr(self.objective, "clip", None)
        if clip is None:
            super().configure_gradient_clipping(*args, **options)
        else:
            self.log("clipped_at", clip.clip(self.parameters()))

    def on_train_epoch_start(self) -> None:
        self.ended = time.perf_counter()

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        torch.manual_seed(self.args.seed + self.global_step)  # a resumed run draws what one run would have drawn
        loss: Tensor
        metrics: dict[str, Tensor]
        loss, metrics = self.objective(batch, self.global_step / self.args.steps)
        samples = float(len(batch["signal"]))
        now = time.perf_counter()
        speeds = {
            "loader_samples_per_s": samples * max(self.args.workers, 1) / float(batch["seconds"]),
            "train_samples_per_s": samples / (now - self.ended),
        }
        self.ended = now
        self.log_dict({"loss": loss, **metrics}, prog_bar=True)
        self.log_dict(speeds)
        return loss

    def validation_step(self, batch: Tensor, index: int) -> None:
        self.log_dict(self.validate(self.objective), prog_bar=True, batch_size=1, sync_dist=True)


class Batches(L.LightningDataModule):
    """Batch i is always the same, so that a resumed run sees what it would have seen."""

    def __init__(self, train: Dataset[dict[str, Tensor]], args: argparse.Namespace) -> None:
        super().__init__()
        self.train_set, self.args = train, args

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        assert self.trainer is not None  # Lightning attaches it before it asks for batches
        first = self.trainer.current_epoch * self.args.epoch_steps
        steps = range(first, min(first + self.args.epoch_steps, self.args.steps))
        return DataLoader(Subset(self.train_set, steps), batch_size=None, num_workers=self.args.workers)

    def val_dataloader(self) -> DataLoader[Tensor]:
        return DataLoader([torch.zeros(())], batch_size=None)  # type: ignore[arg-type]  # one call of `validate`


def fit(
    objective: nn.Module,
    train: Dataset[dict[str, Tensor]],
    validate: Validate,
    monitor: str,
    args: argparse.Namespace,
) -> Path:
    """Train; `last.ckpt`, `best.ckpt` (lowest `monitor`) and logs go to `args.out`; returns the best.

    The checkpoints' `state_dict` holds the averaged weights.
    """
    best = ModelCheckpoint(args.out, "best", monitor=monitor, mode="min", enable_version_counter=False)
    last = ModelCheckpoint(args.out, "last", enable_version_counter=False)
    # all are kept, whatever their order; the other `mode` tells Lightning that it is not `best`
    every = [ModelCheckpoint(args.out, "{step}", monitor=monitor, mode="max", save_top_k=-1)] if args.keep else []
    trainer = L.Trainer(
        max_steps=args.steps,
        accelerator=args.accelerator,
        devices=args.devices,
        callbacks=[best, last, *every, EMAWeightAveraging(decay=args.average), TQDMProgressBar(refresh_rate=10)],
        logger=[CSVLogger(args.out, "log"), TensorBoardLogger(args.out, "log")],
        gradient_clip_val=5.0,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        enable_model_summary=False,
    )
    trainer.fit(
        Training(objective, validate, args),
        datamodule=Batches(train, args),
        ckpt_path=checkpoint_to_resume(args),
    )
    return Path(args.out, "best.ckpt")
