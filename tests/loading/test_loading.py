"""Loading models: checkpoints that the test itself writes in pyannote's own format, and every way they can be bad."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import requests
import torch
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError
from pyannote.audio.core.task import Problem, Resolution, Specifications
from safetensors.torch import save_file

from variants import Provenance, UserError, provenance_of
from variants.loading import load
from variants.loading import models as loading

EMBEDDING = ("pyannote.audio.models.embedding.xvector", "XVectorSincNet")
SEGMENTATION = ("pyannote.audio.models.segmentation.PyanNet", "PyanNet")
VOICES = Specifications(Problem.REPRESENTATION, Resolution.CHUNK, duration=5.0, classes=["ann", "ben"])


def content(model: Any, architecture: tuple[str, str]) -> dict[str, Any]:
    """What `pytorch_lightning` and pyannote.audio write into a checkpoint."""
    return {
        "state_dict": model.state_dict(),
        "hyper_parameters": dict(model.hparams),
        "pytorch-lightning_version": "2.0.1",
        "epoch": 3,
        "pyannote.audio": {
            "versions": {"torch": "2.0.1", "pyannote.audio": "3.0.0"},
            "architecture": {"module": architecture[0], "class": architecture[1]},
            "specifications": model.specifications if architecture is SEGMENTATION else VOICES,
        },
    }


@pytest.fixture
def checkpoint(stock: Any, tmp_path: Path) -> Callable[..., Path]:
    """Writes a checkpoint of the stock embedding model, with changes to its content."""

    def write(change: Callable[[dict[str, Any]], Any] = lambda whole: None) -> Path:
        whole = content(stock, EMBEDDING)
        change(whole)
        torch.save(whole, tmp_path / "model.ckpt")
        return tmp_path / "model.ckpt"

    return write


def refusal(kind: str, source: Any, trust: bool = False) -> str:
    """The message of the refusal, which must be one line that names the option."""
    with pytest.raises(UserError) as raised:
        load(kind, str(source), trust)
    message = str(raised.value)
    assert len(message.splitlines()) == 1
    assert message.startswith(f"--{kind} ")
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    return message


def assert_same_weights(mine: Any, theirs: Any) -> None:
    assert mine.state_dict().keys() == theirs.state_dict().keys()
    assert all(torch.equal(value, theirs.state_dict()[key]) for key, value in mine.state_dict().items())


def test_embedding_in_pyannotes_format(checkpoint: Callable[..., Path], stock: Any) -> None:
    path = checkpoint()
    model = load("embedding", str(path))
    assert type(model) is type(stock)
    assert not model.training
    assert_same_weights(model, stock)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert provenance_of(model) == Provenance(str(path), digest, trained=True)


def test_segmentation_in_pyannotes_format(segmenter: Any, tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save(content(segmenter, SEGMENTATION), path)
    for source in (path, tmp_path):  # the file, or the folder that holds it by that name
        model = load("segmentation", str(source))
        assert type(model) is type(segmenter)
        assert_same_weights(model, segmenter)
        assert model.specifications == segmenter.specifications
        assert provenance_of(model) == Provenance(
            str(source), hashlib.sha256(path.read_bytes()).hexdigest(), trained=True
        )


@pytest.mark.parametrize("source", ["missing/folder/model.ckpt", "missing.ckpt", "/no/such/model", "owner/model.bin"])
def test_missing_file(source: str) -> None:
    assert "no such file, and not a Hugging Face id" in refusal("embedding", source)


def test_folder_without_a_model(tmp_path: Path) -> None:
    assert "cannot read" in refusal("segmentation", tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.9])
def test_truncated_file(checkpoint: Callable[..., Path], share: float) -> None:
    path = checkpoint()
    whole = path.read_bytes()
    path.write_bytes(whole[: round(share * len(whole))])
    assert "is corrupt or holds more than weights" in refusal("embedding", path)


@pytest.mark.parametrize("data", [b"not a model at all\n", b"\x80\x02}q\x00.", b"PK\x03\x04" + bytes(100)])
def test_something_else_altogether(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.ckpt"
    path.write_bytes(data)
    message = refusal("embedding", path)
    assert "is corrupt" in message or "is not a pyannote.audio checkpoint" in message


@pytest.mark.parametrize(
    "other", [{"state_dict": {}}, [1, 2], torch.ones(3), {"pyannote.audio": None}, {"pyannote.audio": {"versions": {}}}]
)
def test_torch_file_that_is_no_pyannote_checkpoint(tmp_path: Path, other: Any) -> None:
    path = tmp_path / "model.ckpt"
    torch.save(other, path)
    assert "is not a pyannote.audio checkpoint (names no architecture)" in refusal("embedding", path)


class Trap:
    """Unpickled, it makes a folder."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_would_run_code_runs_none(
    checkpoint: Callable[..., Path], stock: Any, tmp_path: Path, zipped: bool
) -> None:
    marker, path = tmp_path / "it ran", tmp_path / "trap.ckpt"
    whole = content(stock, EMBEDDING) | {"callbacks": Trap(marker)}
    torch.save(whole, path, _use_new_zipfile_serialization=zipped)
    message = refusal("embedding", path)
    assert "holds more than weights" in message
    assert not marker.exists()
    with pytest.raises(UserError, match="File exists"):  # trusted, it runs twice: as we look and as pyannote loads
        load("embedding", str(path), trust=True)
    assert marker.is_dir()


def test_a_trusted_file_may_hold_any_object(checkpoint: Callable[..., Path], stock: Any) -> None:
    path = checkpoint(lambda whole: whole.update(callbacks=Path("a harmless object")))
    assert "holds more than weights" in refusal("embedding", path)
    before = dict(os.environ)
    assert_same_weights(load("embedding", str(path), trust=True), stock)
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
    checkpoint: Callable[..., Path], stock: Any, foreign_module: str
) -> None:
    named = {"module": foreign_module, "class": "Net"}
    path = checkpoint(lambda whole: whole["pyannote.audio"].update(architecture=named))
    message = refusal("embedding", path)
    assert f"its architecture {foreign_module}.Net is not one of XVectorMFCC, XVectorSincNet" in message
    assert "--trust-checkpoint" in message
    assert foreign_module not in sys.modules
    assert_same_weights(load("embedding", str(path), trust=True), stock)
    assert foreign_module in sys.modules


@pytest.mark.parametrize(("module", "name"), [("no_such_module", "Net"), ("math", "Net")])
def test_trusted_architecture_that_is_not_there(checkpoint: Callable[..., Path], module: str, name: str) -> None:
    named = {"module": module, "class": name}
    path = checkpoint(lambda whole: whole["pyannote.audio"].update(architecture=named))
    assert f"cannot import its architecture {module}.{name}" in refusal("embedding", path, trust=True)


def test_a_listed_module_does_not_list_all_it_holds(checkpoint: Callable[..., Path]) -> None:
    named = {"module": EMBEDDING[0], "class": "Model"}
    path = checkpoint(lambda whole: whole["pyannote.audio"].update(architecture=named))
    assert "xvector.Model is not one of" in refusal("embedding", path)


def test_embedding_given_for_segmentation_and_the_reverse(
    checkpoint: Callable[..., Path], segmenter: Any, tmp_path: Path
) -> None:
    assert "XVectorSincNet is not one of PyanNet" in refusal("segmentation", checkpoint())
    torch.save(content(segmenter, SEGMENTATION), tmp_path / "segmentation.ckpt")
    assert "PyanNet.PyanNet is not one of" in refusal("embedding", tmp_path / "segmentation.ckpt")


def lose_a_weight(whole: dict[str, Any]) -> None:
    state = dict(whole["state_dict"])
    del state["embedding.bias"]
    whole["state_dict"] = state


def change_a_shape(whole: dict[str, Any]) -> None:
    whole["state_dict"] = dict(whole["state_dict"]) | {"embedding.bias": torch.zeros(7)}


@pytest.mark.parametrize("change", [lose_a_weight, change_a_shape, lambda whole: whole.pop("state_dict")])
def test_weights_that_do_not_fit(checkpoint: Callable[..., Path], change: Callable[[dict[str, Any]], Any]) -> None:
    assert "does not fit its architecture XVectorSincNet" in refusal("embedding", checkpoint(change))


def response(status: int) -> requests.Response:
    answer = requests.Response()
    answer.status_code = status
    answer.request = requests.Request("GET", "https://example.org/").prepare()
    return answer


TOKEN = "hf_this_is_a_secret_token"
GATED = GatedRepoError(f"403 for {TOKEN}\nAccess is restricted", response(403))
UNKNOWN = RepositoryNotFoundError(f"401 for {TOKEN}", response(401))
OFFLINE = LocalEntryNotFoundError(f"no network for {TOKEN}")
SERVER = HfHubHTTPError(f"502 for {TOKEN}", response(502))
LOGIN = "`huggingface-cli login` or set HF_TOKEN"


@pytest.mark.parametrize(
    ("error", "cure"),
    [
        (GATED, f"is gated: accept its conditions at https://hf.co/pyannote/embedding, then {LOGIN}"),
        (UNKNOWN, f"does not exist, or is private: check https://hf.co/pyannote/embedding, then {LOGIN}"),
        (OFFLINE, "is not in the local cache and Hugging Face cannot be reached: check the network, or give a path"),
        (SERVER, "cannot be fetched (HTTP status 502): check https://hf.co/pyannote/embedding"),
        (HfHubHTTPError("no answer"), "cannot be fetched (HTTP status no)"),
        (requests.ConnectionError(TOKEN), "cannot be fetched (ConnectionError): check the network, or give a path"),
    ],
)
@pytest.mark.parametrize("source", ["pyannote/embedding", "pyannote/embedding@2022.07"])
def test_hugging_face_names_the_cure(monkeypatch: pytest.MonkeyPatch, error: Exception, cure: str, source: str) -> None:
    def fail(*args: Any, **options: Any) -> str:
        raise error

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    message = refusal("embedding", source)
    assert message.startswith(f"--embedding {source}: ")
    assert cure in message
    assert TOKEN not in message


def test_hugging_face_id_is_fetched_and_loaded(
    checkpoint: Callable[..., Path], stock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, asked = checkpoint(), []

    def fetch(*args: Any, **options: Any) -> str:
        asked.append((args, options))
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    model = load("embedding", "pyannote/embedding@2022.07")
    load("embedding", "pyannote/embedding")
    assert asked == [
        (("pyannote/embedding", "pytorch_model.bin"), {"revision": "2022.07"}),
        (("pyannote/embedding", "pytorch_model.bin"), {"revision": None}),
    ]
    assert_same_weights(model, stock)
    provenance = provenance_of(model)
    assert provenance is not None
    assert provenance.source == "pyannote/embedding@2022.07"


def test_a_fetched_file_is_trusted_no_more_than_a_local_one(
    stock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker, path = tmp_path / "it ran", tmp_path / "trap.ckpt"
    torch.save(content(stock, EMBEDDING) | {"callbacks": Trap(marker)}, path)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *args, **options: str(path))
    assert "holds more than weights" in refusal("embedding", "somebody/something")
    assert not marker.exists()


@pytest.fixture
def bundle(tmp_path: Path, stock: Any, segmenter: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of bundled weights as they are shipped: half precision, metadata, checksums."""
    weights, lines = tmp_path / "weights", []
    weights.mkdir()
    for kind, model, architecture in (
        ("embedding", stock, "pyannote.audio.models.embedding.XVectorSincNet"),
        ("segmentation", segmenter, "pyannote.audio.models.segmentation.PyanNet"),
    ):
        state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
        hyperparameters = json.dumps({"lstm": dict(model.hparams.lstm)} if kind == "segmentation" else {})
        path = weights / f"{kind}.safetensors"
        save_file(state, path, {"architecture": architecture, "hyperparameters": hyperparameters})
        lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}")
    (weights / "SHA256SUMS").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(loading, "WEIGHTS", weights)
    return weights


def test_bundled_weights_are_whole_numbers_of_the_stock_class(bundle: Path, stock: Any, segmenter: Any) -> None:
    for kind, original in (("embedding", stock), ("segmentation", segmenter)):
        model = load(kind)
        assert type(model) is type(original)
        assert not model.training
        for key, value in original.state_dict().items():
            if value.is_floating_point():
                assert torch.equal(model.state_dict()[key], value.half().float())
        provenance = provenance_of(model)
        assert provenance is not None
        digest = hashlib.sha256((bundle / f"{kind}.safetensors").read_bytes()).hexdigest()
        assert (provenance.source, provenance.sha256) == (f"bundled {kind}", digest)
    assert len(load("segmentation").specifications.classes) == 3


def damage(bundle: Path) -> None:
    path = bundle / "embedding.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")


def empty_but_vouched_for(bundle: Path) -> None:
    (bundle / "embedding.safetensors").write_bytes(b"")
    (bundle / "SHA256SUMS").write_text(f"{hashlib.sha256(b'').hexdigest()}  embedding.safetensors\n")


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (damage, "is damaged (SHA-256 differs"),
        (lambda bundle: (bundle / "SHA256SUMS").write_text(""), "is damaged (SHA-256 differs"),
        (lambda bundle: (bundle / "embedding.safetensors").unlink(), "cannot read"),
        (lambda bundle: (bundle / "SHA256SUMS").unlink(), "cannot read"),
        (empty_but_vouched_for, "cannot read"),
    ],
)
def test_damaged_bundle(bundle: Path, harm: Callable[[Path], Any], reason: str) -> None:
    harm(bundle)
    with pytest.raises(UserError, match=r"^bundled embedding: ") as raised:
        load("embedding")
    assert reason in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
