"""What variants call and start, counted in a process of their own; memory that is the same from run to run."""

import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import onnxruntime
import pytest
import torch

import variants
from bench.pipeline.staged import PipelineSettings
from bench.run.footprint import footprint_of
from variants import registry, variant
from variants.runtime.onnx import session_options

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no /proc/self/clear_refs here")
SETTINGS = PipelineSettings(duration=2.0, step=0.5, latency=1.0)


class Models:
    """What `footprint_of` needs of a run's models."""

    oracle = False

    def __init__(self, stock: Any, segmenter: Any) -> None:
        self.root, self.segmentation = stock, variants.as_segmentation_model(segmenter)

    def build(self, name: str) -> Any:
        return variants.build(name, self.root)

    def other(self, name: str) -> None: ...


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file that doubles its input."""
    from onnx import TensorProto, helper, save_model

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    nodes = [helper.make_node("Add", ["x", "x"], ["y"])]
    made = helper.make_graph(nodes, "double", ends[:1], ends[1:])
    path = tmp_path_factory.mktemp("graph") / "double.onnx"
    save_model(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def hungry(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Register `hungry`: two sessions, one of them with a thread of its own, three runs a chunk, 32 MiB held."""
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))

    @variant("hungry", parent="baseline", title="what a conftest may register", exact=True)
    def build(model: Any) -> Any:
        two = session_options()
        two.intra_op_num_threads = 2  # the one that calls, and another
        own = [onnxruntime.InferenceSession(str(graph), options) for options in (session_options(), two)]
        onnxruntime.InferenceSession(str(graph), session_options())  # gone at once
        whole, model.held = model.forward, torch.ones(8 << 20)

        def forward(*arguments: Any, **named: Any) -> Any:
            for session in (*own, own[0]):
                session.run(None, {"x": torch.ones(1).numpy()})
            return whole(*arguments, **named)

        model.forward = forward
        return model


def test_counts_of_a_variant_that_grew(stock: Any, segmenter: Any, hungry: None) -> None:
    models, run = Models(stock, segmenter), onnxruntime.InferenceSession.run
    plain, grew = (footprint_of(name, cast(Any, models), SETTINGS) for name in ("baseline", "hungry"))
    assert plain.counts == {"embedding_calls": 1, "session_runs": 0, "sessions": 0, "threads": 0}
    assert grew.counts == {"embedding_calls": 1, "session_runs": 3, "sessions": 2, "threads": 1}
    assert plain.memory is not None and grew.memory is not None
    assert grew.memory - plain.memory == pytest.approx(32, abs=6)
    assert onnxruntime.InferenceSession.run is run  # the count was the child's affair alone


HOLES = """
import random, torch
from bench.latency.memory import peak_memory

torch.set_num_threads(1)
random.seed(0)


def make():
    left = []  # small ones, which break up the hole that a run has filled: the next run has to fill another

    def run():
        whole = torch.ones(4 << 20)  # 16 MiB
        left.extend(torch.ones(1 << 12) for _ in range(8))
        return whole.sum()

    return run


found = [peak_memory(make)]
for _ in range(5):  # holes large enough for what is measured
    held = [torch.ones(random.randrange(1 << 20, 7 << 20)) for _ in range(12)]
    kept = held[::2]
    del held[:]
    found.append(peak_memory(make))
    del kept
print(*found)
"""


def test_memory_is_the_same_whatever_the_parent_has_freed() -> None:
    """In a process of its own, whose heap has holes: measured on that, runs of 16 MiB took up to 48."""
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True)
    assert [float(word) for word in done.stdout.split()] == [pytest.approx(16, rel=0.1)] * 6
