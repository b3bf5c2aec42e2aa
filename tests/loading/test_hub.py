"""Hugging Face: what is fetched, and the one line that names the cure where it is not."""

import functools
import http.server
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import requests
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

from variants import provenance_of
from variants.loading import load

TOKEN = "hf_this_is_a_secret_token"
LOGIN = "`huggingface-cli login` or set HF_TOKEN"


def response(status: int) -> requests.Response:
    answer = requests.Response()
    answer.status_code = status
    answer.request = requests.Request("GET", "https://example.org/").prepare()
    return answer


GATED = GatedRepoError(f"403 for {TOKEN}\nAccess is restricted", response(403))
UNKNOWN = RepositoryNotFoundError(f"404 for {TOKEN}", response(404))
OFFLINE = LocalEntryNotFoundError(f"no network for {TOKEN}")
SERVER = HfHubHTTPError(f"502 for {TOKEN}", response(502))


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
def test_the_message_names_the_cure(
    monkeypatch: pytest.MonkeyPatch, refusal: Callable[..., str], error: Exception, cure: str, source: str
) -> None:
    def fail(*args: Any, **options: Any) -> str:
        raise error

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    message = refusal("embedding", source)
    assert cure in message
    assert TOKEN not in message


def test_what_can_be_had_without_a_token_is_said(
    monkeypatch: pytest.MonkeyPatch, refusal: Callable[..., str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: Any, **options: Any) -> str:
        logging.getLogger("huggingface_hub.file_download").warning("Retrying in 1s [Retry 1/5].")
        raise OFFLINE

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    message = refusal("segmentation", "pyannote/segmentation")
    assert message.endswith("; or `python -m variants fetch pyannote/segmentation`, which needs no token")
    assert "fetch" not in refusal("segmentation", "pyannote/other")
    assert not caplog.records


@pytest.fixture
def refusing_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Puts a local server in Hugging Face's place that answers everything with one status; no cache."""
    servers = []

    def start(status: int, headers: dict[str, str]) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send_response(status)
                for key, value in headers.items():
                    self.send_header(key, value)
                self.end_headers()

            do_GET = do_HEAD  # noqa: N815

            def log_message(self, *args: Any) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        here = {"endpoint": f"http://127.0.0.1:{server.server_port}", "cache_dir": tmp_path / "hub"}
        monkeypatch.setattr(
            huggingface_hub, "hf_hub_download", functools.partial(huggingface_hub.hf_hub_download, **here)
        )

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (401, {}),
        (403, {}),
        (401, {"X-Error-Message": "Invalid credentials in Authorization header"}),
        (401, {"X-Error-Code": "RepoNotFound"}),
    ],
)
@pytest.mark.parametrize("token", [None, TOKEN])
def test_a_rejected_token_is_said_to_be_rejected(
    refusing_hub: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    refusal: Callable[..., str],
    status: int,
    headers: dict[str, str],
    token: str | None,
) -> None:
    refusing_hub(status, headers)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: token)
    monkeypatch.setenv("HF_TOKEN", token) if token else monkeypatch.delenv("HF_TOKEN", raising=False)
    message = refusal("embedding", "pyannote/embedding")
    assert LOGIN in message
    assert "network" not in message
    assert TOKEN not in message
    assert ("the token was rejected" in message) == (token is not None)


def test_a_gate_is_no_rejected_token(
    refusing_hub: Callable[..., None], monkeypatch: pytest.MonkeyPatch, refusal: Callable[..., str]
) -> None:
    refusing_hub(403, {"X-Error-Code": "GatedRepo"})
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert "is gated: accept its conditions" in refusal("embedding", "pyannote/embedding")


def test_an_id_is_fetched_and_loaded(
    checkpoint: Callable[..., Path], stock: Any, same_weights: Callable[..., None], monkeypatch: pytest.MonkeyPatch
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
    same_weights(model, stock)
    provenance = provenance_of(model)
    assert provenance is not None
    assert provenance.source == "pyannote/embedding@2022.07"
