"""The paper's way as a pyannote task: ArcFace plus lambda times the distance to the teacher, on any protocol."""

from __future__ import annotations

import argparse

import pytorch_lightning as pl
import torch
from pyannote.audio.models.embedding import XVectorSincNet as StockXVector
from pyannote.audio.tasks import SupervisedRepresentationLearningWithArcFace
from pyannote.database import FileFinder, Protocol, registry
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor

from variants.loading import safe_globals
from variants.paper.distilled import reduce
from variants.speech.data import DataError

from . import weights
from .architecture import XVectorSincNet
from .distill import distillation_loss
from .fit import checkpoint_to_resume
from .student import Teacher


class DistillationWithArcFace(SupervisedRepresentationLearningWithArcFace):  # type: ignore[misc]  # has no types
    """`SupervisedRepresentationLearningWithArcFace` whose loss adds `factor` times the distance to the teacher.

    teacher: maps waveforms (batch, 1, samples) to embeddings (batch, dimension); it is never changed. Everything else
    is pyannote's, its options too (paper section IV-A).
    """

    def __init__(self, protocol: Protocol, teacher: torch.nn.Module, factor: float, **options: object) -> None:
        super().__init__(protocol, **options)
        self.teacher, self.factor = teacher.eval().requires_grad_(False), factor

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor] | None:
        waveforms, speakers = batch["X"], batch["y"]
        embeddings = self.model(waveforms)
        with torch.no_grad():
            wanted = self.teacher.to(waveforms.device)(waveforms)
        arcface = self.model.loss_func(embeddings, speakers)
        loss = distillation_loss(arcface, embeddings, wanted, self.factor)
        if torch.isnan(loss):  # as pyannote does
            return None
        self.model.log("loss/train", loss, on_step=True, on_epoch=True)
        return {"loss": loss}


def train(teacher: Teacher, args: argparse.Namespace) -> None:
    """Train a reduced student from random weights on `args.protocol`; checkpoints and student go to `args.out`."""
    pl.seed_everything(args.seed)
    try:
        protocol = registry.get_protocol(args.protocol, preprocessors={"audio": FileFinder()})
    except Exception as error:  # whatever a database plug-in or its configuration raises
        raise DataError(f"protocol {args.protocol}: {error}; is it in your database.yml?") from None
    duration = args.crop or 2.0
    model: pl.LightningModule = reduce(StockXVector())
    model.task = DistillationWithArcFace(
        protocol,
        teacher.network,
        args.factor,
        duration=duration,
        num_classes_per_batch=max(round(args.batch_seconds / duration), 2),
        num_workers=args.workers,
    )
    trainer = pl.Trainer(
        max_steps=args.steps,
        accelerator=args.accelerator,
        devices=args.devices,
        callbacks=[
            ModelCheckpoint(args.out, "last", every_n_train_steps=args.epoch_steps, enable_version_counter=False)
        ],
        logger=CSVLogger(args.out, "log"),
        limit_val_batches=0,  # the checkpoint is chosen by DER, which pyannote's validation does not know
        enable_model_summary=False,
    )
    with safe_globals():
        trainer.fit(model, ckpt_path=checkpoint_to_resume(args))
    trainer.save_checkpoint(args.out / "last.ckpt")
    student = reduce(XVectorSincNet())
    student.load_state_dict({key: value for key, value in model.state_dict().items() if not key.startswith("loss_")})
    weights.export(student, args.out / "student.safetensors", teacher.sha256)
