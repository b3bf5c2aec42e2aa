"""CAM++'s weights from a file, read as data."""

import hashlib
from pathlib import Path
from typing import Any

import torch

from variants.errors import UserError
from variants.provenance import Provenance, stamp

from .network import CAMPlusPlus


def load_campplus(path: Path) -> CAMPlusPlus:
    """The network with the weights in `path` (3D-Speaker's `campplus_cn_en_common.pt`), in eval mode, stamped.

    Raises UserError for a file that cannot be read, or holds anything but exactly its weights.
    """
    where = f"--embedding campplus: {path}"
    model = CAMPlusPlus()
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(state)
    except OSError as error:
        raise UserError(f"{where}: cannot be read: {error.strerror or error}") from None
    except Exception as error:  # torch raises whatever a damaged file makes it raise
        reason = (str(error).split("\n")[0] or type(error).__name__).split(". ")[0].rstrip(":")
        cure = "`python -m variants fetch campplus`"
        raise UserError(f"{where}: damaged, or not the weights of CAM++ ({reason}): {cure}") from None
    return stamp(model.eval(), Provenance("campplus", digest, trained=True))
