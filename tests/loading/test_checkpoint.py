"""Checkpoints in pyannote's own format: what loads, with what provenance, and what is refused with which reason."""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pyannote.audio.core.task import Problem, Resolution, Specifications
from pyannote.audio.models.embedding import WeSpeakerResNet34
from pyannote.audio.models.segmentation import PyanNet

import variants
from variants import Provenance, provenance_of
from variants.loading import load, trained_duration

XVECTOR = "pyannote.audio.models.embedding.xvector"
Write = Callable[..., Path]
Refuse = Callable[..., str]
Same = Callable[[Any, Any], None]


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}, {"pickle_protocol": 5}])
def test_embedding_in_pyannotes_format(checkpoint: Write, stock: Any, same_weights: Same, options: Any) -> None:
    path = checkpoint(**options)
    model = load("embedding", str(path))
    assert type(model) is type(stock)
    assert not model.training
    same_weights(model, stock)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert provenance_of(model) == Provenance(str(path), digest, trained=True)


def test_segmentation_in_pyannotes_format(segmenter: Any, content: Any, same_weights: Same, tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save(content(segmenter), path)
    for source in (path, tmp_path):  # the file, or the folder that holds it by that name
        model = load("segmentation", str(source))
        assert type(model) is type(segmenter)
        same_weights(model, segmenter)
        assert model.specifications == segmenter.specifications
        assert trained_duration(model) == 5.0
        assert provenance_of(model) == Provenance(
            str(source), hashlib.sha256(path.read_bytes()).hexdigest(), trained=True
        )


def test_powerset_segmentation_of_ten_seconds(content: Any, same_weights: Same, tmp_path: Path) -> None:
    net = PyanNet(lstm={"hidden_size": 8, "num_layers": 1})
    net.specifications = Specifications(
        Problem.MONO_LABEL_CLASSIFICATION,
        Resolution.FRAME,
        duration=10.0,
        classes=["a", "b", "c"],
        powerset_max_classes=2,
        permutation_invariant=True,
    )
    net.setup()
    torch.save(content(net), tmp_path / "model.bin")
    model = load("segmentation", str(tmp_path / "model.bin"))
    same_weights(model, net)
    assert trained_duration(model) == 10.0
    assert model.classifier.out_features == 7  # nobody, each of three, each of three pairs
    frames = variants.as_segmentation_model(model)(torch.zeros(1, 1, 16000))
    assert frames.shape[-1] == 3  # speakers again, as DIART wants them
    assert set(frames.unique().tolist()) <= {0.0, 1.0}


def test_wespeakers_resnet_runs_as_the_baseline(content: Any, same_weights: Same, tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = WeSpeakerResNet34().eval()
        torch.save(content(net), tmp_path / "model.bin")
        root = load("embedding", str(tmp_path / "model.bin"))
        same_weights(root, net)
        waveform = torch.randn(2, 1, 80000)
    weights = torch.ones(2, 293)
    weights[1, 100:] = 0.0
    found = variants.as_embedding_model(variants.build("baseline", root))(waveform, weights)
    with torch.no_grad():
        assert torch.equal(found, net(waveform, weights=weights))
    assert found.shape == (2, 256)


def test_variants_that_do_not_apply_to_a_resnet_say_why(content: Any, tmp_path: Path) -> None:
    torch.save(content(WeSpeakerResNet34()), tmp_path / "model.bin")
    root = load("embedding", str(tmp_path / "model.bin"))
    for name in set(variants.names()) - {"baseline", "baseline-twin", "openvino"}:
        with pytest.raises(variants.UnavailableError, match=r"not a WeSpeakerResNet34|not of "):
            variants.build(name, root)


@pytest.mark.parametrize("source", ["missing/folder/model.ckpt", "missing.ckpt", "/no/such/model", "owner/model.bin"])
def test_missing_file(refusal: Refuse, source: str) -> None:
    assert "no such file, and not a Hugging Face id" in refusal("embedding", source)


def test_folder_without_a_model(refusal: Refuse, tmp_path: Path) -> None:
    message = refusal("segmentation", tmp_path)
    assert f"{tmp_path / 'pytorch_model.bin'} cannot be read: No such file" in message


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"state_dict": {}}, ""),
        ([1, 2], ""),
        (torch.ones(3), ""),
        ({"pyannote.audio": None}, ""),
        ({"pyannote.audio": {"versions": {}}}, ""),
        ({"head.weight": torch.ones(3), "n": 1}, ": it holds weights alone, 1 tensors such as 'head.weight'"),
        (Path("an object"), ": it holds a pathlib.PosixPath"),
    ],
)
def test_torch_file_that_is_no_pyannote_checkpoint(tmp_path: Path, refusal: Refuse, other: Any, said: str) -> None:
    path = tmp_path / "model.ckpt"
    torch.save(other, path)
    message = refusal("embedding", path)
    assert message == f"--embedding {path}: it is not a pyannote.audio checkpoint (names no architecture){said}"


def test_a_trusted_file_may_hold_any_object(checkpoint: Write, stock: Any, refusal: Refuse, same_weights: Same) -> None:
    path = checkpoint(lambda whole: whole["hyper_parameters"].update(sample_rate=Path("a harmless object")))
    assert "holds a pathlib.PosixPath among its settings" in refusal("embedding", path)
    assert "--trust-checkpoint" in refusal("embedding", path)
    before = dict(os.environ)
    path = checkpoint(lambda whole: whole.update(callbacks=Path("a harmless object")))
    for trust in (False, True):  # skipped unless it matters; unpickled if trusted
        same_weights(load("embedding", str(path), trust), stock)
    assert dict(os.environ) == before


@pytest.fixture
def foreign_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module that can be imported and holds an architecture."""
    name = "somebodys_architecture"
    (tmp_path / f"{name}.py").write_text("from pyannote.audio.models.embedding import XVectorSincNet as Net\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


def test_unlisted_architecture_is_not_even_imported(
    checkpoint: Write, stock: Any, refusal: Refuse, same_weights: Same, foreign_module: str
) -> None:
    named = {"module": foreign_module, "class": "Net"}
    path = checkpoint(lambda whole: whole["pyannote.audio"].update(architecture=named))
    message = refusal("embedding", path)
    assert f"its architecture {foreign_module}.Net is not one of WeSpeakerResNet34, XVectorMFCC, XVectorSinc" in message
    assert "--trust-checkpoint" in message
    assert foreign_module not in sys.modules
    same_weights(load("embedding", str(path), trust=True), stock)
    assert foreign_module in sys.modules


@pytest.mark.parametrize(("module", "name"), [("no_such_module", "Net"), ("math", "Net")])
def test_trusted_architecture_that_is_not_there(checkpoint: Write, refusal: Refuse, module: str, name: str) -> None:
    named = {"module": module, "class": name}
    path = checkpoint(lambda whole: whole["pyannote.audio"].update(architecture=named))
    assert f"cannot import its architecture {module}.{name}" in refusal("embedding", path, trust=True)


def test_a_listed_module_does_not_list_all_it_holds(checkpoint: Write, refusal: Refuse) -> None:
    named = {"module": XVECTOR, "class": "Model"}
    path = checkpoint(lambda whole: whole["pyannote.audio"].update(architecture=named))
    assert "xvector.Model is not one of" in refusal("embedding", path)


def test_embedding_given_for_segmentation_and_the_reverse(
    checkpoint: Write, refusal: Refuse, content: Any, segmenter: Any, tmp_path: Path
) -> None:
    assert f"it is a model for --embedding ({XVECTOR}.XVectorSincNet)" in refusal("segmentation", checkpoint())
    torch.save(content(segmenter), tmp_path / "segmentation.ckpt")
    assert "it is a model for --segmentation" in refusal("embedding", tmp_path / "segmentation.ckpt")


def lose_a_weight(whole: dict[str, Any]) -> None:
    state = dict(whole["state_dict"])
    del state["embedding.bias"]
    whole["state_dict"] = state


def change_a_shape(whole: dict[str, Any]) -> None:
    whole["state_dict"] = dict(whole["state_dict"]) | {"embedding.bias": torch.zeros(7)}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lose_a_weight, "embedding.bias"),
        (change_a_shape, "embedding.bias"),
        (lambda whole: whole.pop("state_dict"), "state_dict"),
        (lambda whole: whole["hyper_parameters"].update(dimension=10**9), "embedding.weight"),  # 12 TB: never taken
        (lambda whole: whole["pyannote.audio"].pop("specifications"), "specifications"),
    ],
)
def test_weights_and_settings_that_do_not_fit(
    checkpoint: Write, refusal: Refuse, change: Callable[[dict[str, Any]], Any], reason: str
) -> None:
    message = refusal("embedding", checkpoint(change))
    assert "does not fit its architecture XVectorSincNet" in message
    assert reason in message


def test_weights_of_the_training_loss_are_left_out(checkpoint: Write, stock: Any, same_weights: Same) -> None:
    def add(whole: dict[str, Any]) -> None:
        whole["state_dict"] = dict(whole["state_dict"]) | {"loss_func.W": torch.zeros(7205, 512)}

    same_weights(load("embedding", str(checkpoint(add))), stock)
