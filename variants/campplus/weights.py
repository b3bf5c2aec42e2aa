"""CAM++'s weights from a file, read as data."""

import hashlib
import io
from pathlib import Path

import torch

from variants.errors import UserError
from variants.provenance import Provenance, stamp

from .model import CAMPlusPlus


def load_campplus(path: Path, sha256: str | None = None) -> CAMPlusPlus:
    """The network with the weights in `path` (3D-Speaker's `campplus_cn_en_common.pt`), in eval mode, stamped.

    sha256: what the file must have. Raises UserError for a file that cannot be read or has another one, or that
    holds anything but exactly the weights.
    """
    model = CAMPlusPlus()
    try:
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if sha256 not in (None, digest):
            raise ValueError("damaged (its SHA-256 is not the known one)")
        model.load_state_dict(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises whatever a damaged file makes it raise
        reason = getattr(error, "strerror", None) or str(error).split("\n")[0].split(". ")[0] or "empty"
        raise UserError(f"--embedding campplus: {path}: {reason}; `python -m variants fetch campplus`") from None
    return stamp(model.eval(), Provenance("campplus", digest, trained=True))
