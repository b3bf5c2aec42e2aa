"""Where pytest keeps the session's run: the two halves of the plugin share it, and the run is imported late."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .run import Run

RUN: pytest.StashKey["Run"] = pytest.StashKey()
