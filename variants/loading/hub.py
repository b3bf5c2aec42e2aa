"""Files from Hugging Face, or its local cache; errors name the cure, never the token."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from variants.errors import UserError
from variants.fetch import KNOWN
from variants.registry import Model

LOGIN = "`huggingface-cli login` or set HF_TOKEN"


def download(kind: Model, model_id: str) -> Path:
    """The local path of `pytorch_model.bin` of "owner/name" or "owner/name@revision". Raises UserError."""
    from huggingface_hub import get_token, hf_hub_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    name, _, revision = model_id.partition("@")
    page = f"https://hf.co/{name}"
    try:
        with _without_its_log():
            return Path(hf_hub_download(name, "pytorch_model.bin", revision=revision or None))
    except GatedRepoError:
        reason = f"is gated: accept its conditions at {page}, then {LOGIN}"
    except LocalEntryNotFoundError as error:
        reason = "is not in the local cache and Hugging Face cannot be reached: check the network, or give a path"
        reason = _rejected(error.__cause__) or reason
    except RepositoryNotFoundError as error:  # 401 without a token: the hub does not tell whether there is such a model
        reason = f"does not exist, or is private: check {page}, then {LOGIN}"
        reason = (get_token() and _rejected(error)) or reason
    except HfHubHTTPError as error:
        reason = _rejected(error) or f"cannot be fetched (HTTP status {_status(error) or 'no'}): check {page}"
    except OSError as error:
        reason = f"cannot be fetched ({type(error).__name__}): check the network, or give a path"
    if name in KNOWN:
        reason += f"; or `python -m variants fetch {name}`, which needs no token"
    raise UserError(f"--{kind} {model_id}: {reason}")


@contextlib.contextmanager
def _without_its_log() -> Iterator[None]:
    """The hub tells of each of its tries; one line says it all."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _status(error: BaseException | None) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _rejected(error: BaseException | None) -> str | None:
    """What to say of an answer that refuses access; None for any other."""
    from huggingface_hub import get_token

    status = _status(error)
    if status not in (401, 403):
        return None
    if get_token():
        return f"the token was rejected (HTTP status {status}): renew it, or let it read this model; then {LOGIN}"
    return f"access was refused (HTTP status {status}): {LOGIN}"
