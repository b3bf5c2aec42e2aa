"""Recipe of the streaming trunk's correction: least squares of what embeddings lack on how far statistics moved.

Without labels and in one pass: on simulated conversations the stock model embeds chunks by themselves, the streaming
one as they come.
"""

from __future__ import annotations

import argparse
import json

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

from variants.exact.folded import fold
from variants.exact.shared_trunk import share
from variants.files import check_writable
from variants.loading import load
from variants.provenance import provenance_of
from variants.speech.data import DataError, Speech, hold_out
from variants.streaming.drift import drift
from variants.streaming.streaming_trunk import StreamingTrunk, placed

from .streaming import SIZE, STEP, StreamingBatches

RIDGE = 0.1  # times the mean square of what the map takes
EVERY = 4  # chunks from one that is compared to the next, about


@torch.no_grad()
def rows(model: StreamingTrunk, stock: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Of all who speak in a batch: the drift (rows, statistics), the streaming and the stock embeddings."""
    found = []
    for signal, at, weights, active in zip(*(batch[n] for n in ("signal", "at", "weights", "active")), strict=True):
        chosen = dict(zip(at.tolist(), zip(weights, active, strict=True), strict=True))
        model.streams.clear()
        for number in range(int(at.max()) + 1):
            chunk = signal[STEP * number : STEP * number + SIZE]
            window = model.frames(chunk)
            if number in chosen and chosen[number][1].any():
                given, who = chosen[number]
                apart = drift(window.marks, placed(given[who], len(window.marks), window.late))
                mine = model.embedded(window, given[who])
                found.append((apart, mine, stock(chunk.expand(len(mine), 1, -1), given[who])))
    if not found:
        return torch.empty(0, 0), torch.empty(0, 0), torch.empty(0, 0)
    apart, mine, theirs = (torch.cat(parts) for parts in zip(*found, strict=True))
    return apart, mine, theirs


def fit(apart: Tensor, lacking: Tensor, lengths: Tensor) -> Tensor:
    """The map (statistics, dimension) that leaves least of `lacking` (rows, dimension), as shares of `lengths`."""
    inputs, outputs = ((values / lengths[:, None]).double() for values in (apart, lacking))
    gram = inputs.t() @ inputs
    gram += RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    found: Tensor = torch.linalg.solve(gram, inputs.t() @ outputs)
    return found.float()


def train(speech: Speech, args: argparse.Namespace) -> None:
    """Fit and write the map; prints the cosines of speakers held out, before and after."""
    check_writable(args.out, "--out")
    root = load("embedding", args.teacher)
    stamped = provenance_of(root)
    if stamped is None or not stamped.trained:
        raise DataError(f"{args.teacher}: not a trained embedding")
    stock = fold(share(root)).eval()
    model = StreamingTrunk(stock)
    taught, held = hold_out(speech, args.dev_speakers, args.seed)
    chunks = (20 * 16_000 - SIZE) // STEP // EVERY
    sets = []
    for part, count in ((taught, args.stretches), (held, max(args.stretches // 10, 1))):
        batches = StreamingBatches(part, count, 1, chunks, args.seed)
        made = [rows(model, stock, batches[i]) for i in tqdm(range(count), unit="stretch", mininterval=5)]
        sets.append([torch.cat(values) for values in zip(*(one for one in made if len(one[0])), strict=True)])
    (apart, mine, theirs), unseen = sets
    correction = fit(apart, theirs - mine, theirs.norm(dim=1))
    for name, change in (("before", 0.0), ("after", unseen[0] @ correction)):
        cosines = torch.cosine_similarity(unseen[1] + change, unseen[2], dim=-1)
        low, median = torch.quantile(cosines, torch.tensor([0.05, 0.5])).tolist()
        print(f"{name}: median cosine {median:.4f}, 5 % quantile {low:.4f} ({len(cosines)} rows of held-out speakers)")
    partial = args.out.with_name(args.out.name + ".part")
    note = {"architecture": "variants.streaming.drift", "teacher_sha256": json.dumps(stamped.sha256)}
    save_file({"correction": correction.half().contiguous()}, partial, note)
    partial.replace(args.out)
