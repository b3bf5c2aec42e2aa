"""Where the time of a chunk goes, by operator: those of torch's own profiler, and those of ONNX Runtime's."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from .interleave import BLOCK, LEAD, Subject

BLOCKS = 8  # of each subject, in turns; figures are medians over them, so that no slow spell counts
OUTSIDE = "outside operators"  # Python, NumPy, copies between runtimes, the profilers themselves
Key = TypeVar("Key")
Costs = dict[str, tuple[float, float]]  # seconds and calls by operator


@dataclass(frozen=True)
class Profile:
    """A chunk's seconds with the profilers on, and what they are made of: per operator, seconds and calls."""

    seconds: float
    operators: Costs


@contextlib.contextmanager
def watched_sessions(folder: Path) -> Generator[list[Any], None, None]:
    """Every ONNX Runtime session opened meanwhile, by whomever, profiles itself into `folder` and counts its `runs`."""
    import onnxruntime

    whole, opened = onnxruntime.InferenceSession, list[Any]()

    class Watched(whole):  # type: ignore[misc, valid-type]
        def __init__(self, model: Any, sess_options: Any = None, *arguments: Any, **named: Any) -> None:
            options = onnxruntime.SessionOptions() if sess_options is None else sess_options
            options.enable_profiling = True
            options.profile_file_prefix = str(folder / str(len(opened)))
            self.runs = 0
            opened.append(self)
            super().__init__(model, options, *arguments, **named)

        def run(self, *arguments: Any, **named: Any) -> Any:
            self.runs += 1
            return super().run(*arguments, **named)

    onnxruntime.InferenceSession = Watched
    try:
        yield opened
    finally:
        onnxruntime.InferenceSession = whole


def profile(
    subjects: Mapping[Key, Subject], streams: Sequence[tuple[Any, Sequence[Any]]], sessions: Sequence[Any]
) -> dict[Key, Profile]:
    """Run the subjects in turns on the same blocks of chunks. sessions: that they may use, from `watched_sessions`.

    streams: at least one with a block of items.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch's profiler says that there is no GPU, as an error
    from torch.profiler import ProfilerActivity, profile

    blocks = [
        (stream, items[first : first + BLOCK])
        for stream, items in streams
        for first in range(0, len(items) - BLOCK + 1, BLOCK)
    ]
    found: dict[Key, list[tuple[float, Costs, list[range]]]] = {name: [] for name in subjects}
    for i in range(BLOCKS):
        stream, items = blocks[i % len(blocks)]
        for name, subject in subjects.items():
            subject.start(stream)
            for item in items[:LEAD]:
                subject(item)
            before = [session.runs for session in sessions]
            with profile(activities=[ProfilerActivity.CPU]) as recorded:
                begin = time.perf_counter()
                for item in items[LEAD:]:
                    subject(item)
                seconds = time.perf_counter() - begin
            ours = [range(first, session.runs) for first, session in zip(before, sessions, strict=True)]
            costs = {f"torch {e.key}": (e.self_cpu_time_total / 1e6, float(e.count)) for e in recorded.key_averages()}
            found[name].append((seconds, costs, ours))
    runs = [_runs(json.loads(Path(session.end_profiling()).read_text("utf-8"))) for session in sessions]
    return {name: _median([_block(*one, runs) for one in recorded]) for name, recorded in found.items()}


def _block(seconds: float, costs: Costs, ours: Sequence[range], runs: Sequence[Sequence[Costs]]) -> Profile:
    """One block, per chunk; what no operator accounts for has a line of its own. ours: which runs of each session."""
    total: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for part in [costs, *(one[i] for one, mine in zip(runs, ours, strict=True) for i in mine)]:
        for operator, (spent, calls) in part.items():
            total[operator][0] += spent
            total[operator][1] += calls
    total[OUTSIDE] = [seconds - sum(spent for spent, _ in total.values()), 0.0]
    chunks = BLOCK - LEAD
    return Profile(seconds / chunks, {name: (spent / chunks, calls / chunks) for name, (spent, calls) in total.items()})


def _median(blocks: Sequence[Profile]) -> Profile:
    """Medians over blocks, operator by operator; one that a block lacks took it nothing."""
    names = dict.fromkeys(name for block in blocks for name in block.operators)
    middle = {
        name: tuple(statistics.median(values) for values in zip(*(b.operators.get(name, (0.0, 0.0)) for b in blocks)))  # noqa: B905
        for name in names
    }
    return Profile(statistics.median(b.seconds for b in blocks), {name: (m[0], m[1]) for name, m in middle.items()})


def _runs(events: Iterable[Mapping[str, Any]]) -> list[Costs]:
    """Costs of each run of an ONNX Runtime session, in order, from its profile.

    Times of nodes are their own: those of the nodes inside (of `If`, `Loop`) are taken off.
    """
    events = list(events)
    runs = sorted((e["ts"], e["ts"] + e["dur"]) for e in events if e["name"] == "model_run")
    nodes = sorted(
        (e for e in events if e["cat"] == "Node" and e["name"].endswith("_kernel_time")),
        key=lambda e: (e["ts"], -e["dur"]),
    )
    own = [float(e["dur"]) for e in nodes]
    inside: list[int] = []
    for i, node in enumerate(nodes):
        while inside and node["ts"] >= nodes[inside[-1]]["ts"] + nodes[inside[-1]]["dur"]:
            inside.pop()
        if inside:
            own[inside[-1]] -= node["dur"]
        inside.append(i)
    found: list[Costs] = [{} for _ in runs]
    at = 0
    for node, spent in zip(nodes, own, strict=True):
        while at + 1 < len(runs) and node["ts"] >= runs[at + 1][0]:
            at += 1
        name = f"ONNX {node['args']['op_name']}"
        before = found[at].get(name, (0.0, 0.0))
        found[at][name] = (before[0] + spent / 1e6, before[1] + 1)
    return found
