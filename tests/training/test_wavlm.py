"""The WavLM recipe at a tiny size (4 layers, width 64) on simulated conversations: all four stages, and its resume."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from variants.pruning import read
from variants.training import wavlm_data
from variants.training.__main__ import main
from variants.training.wavlm_objectives import DiarizerObjective, PruningObjective, compared
from variants.wavlm import Encoder, GatedEncoder, HeadSizes, Segmenter
from variants.wavlm.counting import parameters
from variants.wavlm.sizes import dense
from variants.wavlm.weights import load_file, save

SIZES = dense(convs=32, layers=4, heads=4, ffn=256, width=64, large=False)
SPARSITY = 0.5
STAGES = {  # each stage as long as it takes on so little: steps, rows, seconds
    "fine-tune": (60, 4, 4),
    "prune": (300, 2, 1),
    "distil": (60, 4, 2),
    "diarize": (60, 4, 4),
}
RATES = ["--lr", "3e-3", "--lr-encoder", "1e-3", "--lr-student", "1e-3", "--lr-gates", "0.1", "--warm", "0.6"]
COMMON = ["--stretches", "24", "--dev-speakers", "4", "--dev-stretches", "2", "--average", "0.8", "--workers", "0"]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A segmentation with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        segmenter = Segmenter(SIZES, HeadSizes(width=64, ffn=128, heads=2, blocks=1))
        segmenter.encoder.initialise()
    path = tmp_path_factory.mktemp("start") / "start.safetensors"
    save(segmenter, path, {})
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def run(start: Path, speech: Path, cache: Path, out: Path, stages: list[str], *more: str) -> int:
    steps, rows, seconds = STAGES[stages[0]]
    sizes = ["--steps", str(steps), "--epoch-steps", str(steps), "--rows", str(rows), "--chunk", str(seconds)]
    data = ["--start", str(start), "--data", str(speech), "--cache", str(cache), "--out", str(out)]
    return main(["wavlm", *data, "--sparsity", str(SPARSITY), "--stages", *stages, *sizes, *RATES, *COMMON,
                 "--accelerator", "cpu", *more])  # fmt: skip


@pytest.mark.slow
def test_whole_procedure(start: Path, cache: Path, speech_folder: Path, tmp_path: Path) -> None:
    for stage in STAGES:
        assert run(start, speech_folder, cache, tmp_path, [stage]) == 0
    notes = {name: read(tmp_path / f"{name}.safetensors")[2] for name in ("pruned", "distilled", "diarizer")}

    expected, sparsity = (float(notes["pruned"][key]) for key in ("expected_sparsity", "sparsity"))
    assert abs(expected - SPARSITY) <= 0.01 and abs(sparsity - SPARSITY) <= 0.01
    dense_one, pruned = (load_file(tmp_path / f"{name}.safetensors") for name in ("fine-tuned", "pruned"))
    left = sum(p.numel() for p in pruned.encoder.parameters())
    assert left == parameters(pruned.encoder.sizes) and round(1 - left / parameters(SIZES), 4) == sparsity

    objective = PruningObjective(GatedEncoder(Encoder(SIZES)), dense_one.encoder, SPARSITY, 0.8)
    state = torch.load(tmp_path / "prune" / "last.ckpt", weights_only=True)["state_dict"]
    objective.load_state_dict({key.removeprefix("objective."): value for key, value in state.items()})
    waveforms = torch.randn(1, 32_000)
    with torch.no_grad():
        masked, removed = objective.eval().student(waveforms), pruned.encoder(waveforms)
    for mine, theirs in zip(removed, masked, strict=True):
        assert (mine - theirs).abs().max() <= 1e-5 * theirs.abs().max()

    assert float(notes["distilled"]["dev_distance"]) < float(notes["distilled"]["dev_distance_before"]) - 0.003
    assert float(notes["diarizer"]["dev_error"]) < 0.75 * float(notes["diarizer"]["dev_error_before"])
    last = load_file(tmp_path / "diarizer.safetensors")
    assert last.encoder.sizes == pruned.encoder.sizes
    assert last.get_submodule("conformer.0.2.batch_norm").running_mean.abs().max() > 0.01  # learnt in training mode
    assert not torch.allclose(last.classifier.weight, pruned.classifier.weight, atol=1e-2)  # a new head


@pytest.mark.slow
def test_resume(
    start: Path,
    cache: Path,
    speech_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    short, original = ["--steps", "6", "--epoch-steps", "2"], wavlm_data.WaveformBatches.__getitem__

    def cut_off(self: wavlm_data.WaveformBatches, step: int) -> dict[str, torch.Tensor]:
        if step == 3 and self.seed > 1000:  # in the second stage
            raise RuntimeError("power cut")
        return original(self, step)

    def go_on(*more: str) -> int:
        return run(start, speech_folder, cache, tmp_path, ["prune", "fine-tune"], *short, *more)

    with monkeypatch.context() as patched, pytest.raises(RuntimeError, match="power cut"):
        patched.setattr(wavlm_data.WaveformBatches, "__getitem__", cut_off)
        go_on()
    first = (tmp_path / "fine-tuned.safetensors").read_bytes()
    assert go_on() == 1
    assert "stage fine-tune was begun; add --resume" in capsys.readouterr().err
    assert go_on("--resume") == 0
    assert (tmp_path / "fine-tuned.safetensors").read_bytes() == first  # done is done
    steps = []
    for metrics in sorted((tmp_path / "prune").glob("log/*/metrics.csv")):
        with metrics.open() as file:
            steps.append([int(row["step"]) for row in csv.DictReader(file) if row["loss"]])
    assert list(map(len, steps)) == [3, 4]  # from the checkpoint on, which is of the second step
    state = torch.load(tmp_path / "prune" / "last.ckpt", weights_only=True)["current_model_state"]
    assert state["objective.clip.seen"] == 6  # whose norms the checkpoint keeps


def test_real_conversations(start: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        soundfile.write(tmp_path / f"{name}.wav", np.random.default_rng(0).standard_normal(400_000) * 0.1, 16000)
        (tmp_path / f"{name}.rttm").write_text(f"SPEAKER {name} 1 2.0 15.0 <NA> <NA> ann <NA> <NA>\n")
    out = tmp_path / "out"
    data = ["--conversations", str(tmp_path), "--dev", "two", "--copies", "1", "--chunk", "2", "--rows", "2"]
    options = ["--stages", "fine-tune", "--steps", "2", "--workers", "0", "--accelerator", "cpu"]
    assert main(["wavlm", "--start", str(start), *data, *options, "--out", str(out)]) == 0
    assert load_file(out / "fine-tuned.safetensors").encoder.sizes == SIZES


def test_batches_hold_what_was_stored() -> None:
    waveform = torch.arange(16_000.0)
    rows = wavlm_data.as_rows(waveform[None, None])
    assert rows.shape == (1, 80, 200) and torch.equal(rows[0].T.reshape(-1), waveform)


def test_hidden_states_to_compare() -> None:
    assert compared(12) == [0, 4, 8, 12] and compared(24) == [0, 8, 16, 24]


def test_gradients_go_where_they_should() -> None:
    gated, teacher = GatedEncoder(Encoder(SIZES).initialise()), Encoder(SIZES).initialise()
    objective = PruningObjective(gated, teacher, 0.8, 0.5, gate_rate=0.03).train()
    loss, metrics = objective({"signal": torch.randn(2, 1, 8_000)}, progress=0.25)
    loss.backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(hard.log_alpha.grad is not None for g in (gated.convs, gated.heads, gated.ffns) for hard in g)
    gap = metrics["sparsity"] - 0.4  # half of the way to 0.8
    torch.testing.assert_close(objective.constraint.l1.grad, gap)
    torch.testing.assert_close(objective.constraint.l2.grad, gap**2)
    groups = objective.parameter_groups(1e-4)
    assert [(g["lr"], g["maximize"]) for g in groups] == [(1e-4, False), (0.03, False), (0.03, True)]
    assert sum(len(g["params"]) for g in groups) == sum(p.requires_grad for p in objective.parameters())
    segmenter = Segmenter(SIZES, HeadSizes(width=32, ffn=64, heads=2, blocks=1))
    slow, fast = DiarizerObjective(segmenter, 2e-5).parameter_groups(1e-3)
    assert (slow["lr"], fast["lr"]) == (2e-5, 1e-3)
    assert len(slow["params"]) + len(fast["params"]) == len(list(segmenter.parameters()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--start", "bundled"], "no WavLM segmentation"),
        (["--stages", "distil"], "run the stage prune first"),
        (["--sparsity", "1.5"], "--sparsity"),
        (["--data", "{}/missing"], "no such folder"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str],
    message: str,
    start: Path,
    cache: Path,
    speech_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    filled = [argument.format(tmp_path) for argument in arguments]
    assert run(start, speech_folder, cache, tmp_path / "out", ["fine-tune"], *filled) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("variants.training: ") and message in error
