"""Load the embedding or segmentation model: bundled, a local pyannote checkpoint, or a Hugging Face id."""

import contextlib
import hashlib
import importlib
import json
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from variants.errors import UserError
from variants.provenance import Provenance, stamp
from variants.registry import Model
from variants.wavlm import PRESETS
from variants.wavlm import weights as wavlm

WEIGHTS = Path(__file__).parents[1] / "weights"
# what a checkpoint may name as its architecture; importing anything else would run code of the file's choice
ARCHITECTURES = {
    "embedding": {
        "pyannote.audio.models.embedding.xvector": {"XVectorSincNet", "XVectorMFCC"},
        "pyannote.audio.models.embedding": {"XVectorSincNet", "XVectorMFCC"},
    },
    "segmentation": {
        "pyannote.audio.models.segmentation.PyanNet": {"PyanNet"},
        "pyannote.audio.models.segmentation": {"PyanNet"},
    },
}


def load(kind: Model, source: str = "bundled", trust: bool = False) -> nn.Module:
    """Load the model of `kind` ("embedding" or "segmentation"), in eval mode, with its provenance stamped.

    source: "bundled", a path, or a Hugging Face id ("owner/name", "owner/name@revision"; the token is the usual
    login's or HF_TOKEN's). For a segmentation also a preset of `variants.wavlm`, its encoder's weights behind a "=" if
    there are any ("wavlm-base-plus=microsoft/wavlm-base-plus"), or a file that the recipe of WavLM wrote.
    trust: accept any architecture and pickled object that a local file names.
    Raises UserError, one line, for a model that is gated, missing, corrupt or of another kind.
    """
    if source == "bundled":
        return _bundled(kind)
    path = Path(source).expanduser()
    if kind == "segmentation" and (preset := source.partition("="))[0] in PRESETS:
        return wavlm.load_preset(preset[0], preset[2] or None)
    if kind == "segmentation" and path.suffix == ".safetensors" and path.exists():
        return wavlm.load_file(path)
    if path.exists():
        return _checkpoint(kind, path, str(source), trust)
    if re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", source) and path.suffix not in {".ckpt", ".bin", ".pt"}:
        return _checkpoint(kind, _download(kind, source), source, trust)
    raise UserError(f"--{kind} {source}: no such file, and not a Hugging Face id of the form owner/name")


def checked(path: Path) -> str:
    """SHA-256 of a shipped file; UserError if it is not the one that SHA256SUMS beside it lists."""
    lines = (path.parent / "SHA256SUMS").read_text().splitlines()
    known = {name: digest for digest, name in (line.split() for line in lines)}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != known.get(path.name):
        raise UserError(f"bundled {path.stem}: {path} is damaged (SHA-256 differs from SHA256SUMS); reinstall it")
    return digest


def _bundled(kind: str) -> nn.Module:
    """The shipped weights in pyannote's stock class; their SHA-256 is checked first."""
    from safetensors import SafetensorError, safe_open

    path = WEIGHTS / f"{kind}.safetensors"
    try:
        digest = checked(path)
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UserError(f"bundled {kind}: cannot read {path}: {error}") from None
    module, name = metadata["architecture"].rsplit(".", 1)
    model = _architecture(kind, module, name, str(path), trust=False)(**json.loads(metadata["hyperparameters"]))
    if kind == "segmentation":
        model.specifications = segmentation_specifications(state["classifier.weight"].shape[0])
        model.setup()
    model.load_state_dict(state)
    network: nn.Module = model.eval()
    return stamp(network, Provenance(f"bundled {kind}", digest, trained=True))


def segmentation_specifications(speakers: int) -> Any:
    """pyannote's description of a 5 s, frame-wise, permutation-invariant segmentation."""
    from pyannote.audio.core.task import Problem, Resolution, Specifications

    return Specifications(
        problem=Problem.MULTI_LABEL_CLASSIFICATION,
        resolution=Resolution.FRAME,
        duration=5.0,
        classes=[f"speaker#{i + 1}" for i in range(speakers)],
        permutation_invariant=True,
    )


def _architecture(kind: str, module: str, name: str, where: str, trust: bool) -> Any:
    """The model class, imported only if it is on the list for `kind` (or `trust`)."""
    if not trust and name not in ARCHITECTURES[kind].get(module, set()):
        listed = sorted(set().union(*ARCHITECTURES[kind].values()))
        raise UserError(
            f"--{kind} {where}: its architecture {module}.{name} is not one of {', '.join(listed)}; "
            "--trust-checkpoint loads it all the same"
        )
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"--{kind} {where}: cannot import its architecture {module}.{name}: {error}") from None


@contextlib.contextmanager
def safe_globals() -> Iterator[None]:
    """Let `torch.load(weights_only=True)` read the plain-data classes that every pyannote checkpoint holds."""
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from torch.torch_version import TorchVersion

    with torch.serialization.safe_globals([Specifications, Problem, Resolution, TorchVersion]):
        yield


@contextlib.contextmanager
def _trusting() -> Iterator[None]:
    """Let torch.load unpickle anything; the user asked for it by --trust-checkpoint."""
    name = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _checkpoint(kind: str, path: Path, source: str, trust: bool) -> nn.Module:
    """Load a file in pyannote's own format; the file is only read, and runs nothing, unless `trust`."""
    from pyannote.audio import Model

    if path.is_dir():
        path = path / "pytorch_model.bin"
    where = f"--{kind} {source}"
    with _trusting() if trust else safe_globals(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # versions older than ours; pyannote warns and loads
        try:
            content = torch.load(path, map_location="cpu", weights_only=not trust)
            named = content["pyannote.audio"]["architecture"]
            module, name = str(named["module"]), str(named["class"])
        except OSError as error:
            raise UserError(f"{where}: cannot read {path}: {error.strerror or error}") from None
        except (KeyError, TypeError, IndexError):
            raise UserError(f"{where}: {path} is not a pyannote.audio checkpoint (names no architecture)") from None
        except Exception as error:  # torch.load raises whatever a damaged file makes it raise
            reason = str(error).split("\n")[0].split(". ")[0]
            raise UserError(f"{where}: {path} is corrupt or holds more than weights: {reason}") from None
        _architecture(kind, module, name, source, trust)
        try:
            model = Model.from_pretrained(path)
        except Exception as error:
            reason = str(error).split("\n")[0]
            raise UserError(f"{where}: {path} does not fit its architecture {name}: {reason}") from None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    network: nn.Module = model.eval()
    return stamp(network, Provenance(source, digest, trained=True))


def _download(kind: str, model_id: str) -> Path:
    """Fetch a model from Hugging Face (or its local cache); errors name the cure, never the token."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    name, _, revision = model_id.partition("@")
    page = f"https://hf.co/{name}"
    try:
        return Path(hf_hub_download(name, "pytorch_model.bin", revision=revision or None))
    except GatedRepoError:
        reason = f"is gated: accept its conditions at {page}, then `huggingface-cli login` or set HF_TOKEN"
    except RepositoryNotFoundError:
        reason = f"does not exist, or is private: check {page}, then `huggingface-cli login` or set HF_TOKEN"
    except LocalEntryNotFoundError:
        reason = "is not in the local cache and Hugging Face cannot be reached: check the network, or give a path"
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "no")
        reason = f"cannot be fetched (HTTP status {status}): check {page}"
    except OSError as error:
        reason = f"cannot be fetched ({type(error).__name__}): check the network, or give a path"
    raise UserError(f"--{kind} {model_id}: {reason}")
