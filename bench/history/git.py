"""Which repository git looks at: that of the folder it is run in, even inside another one's hook."""

from collections.abc import Generator
from contextlib import contextmanager

import pytest

OF_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")


@contextmanager
def outside_hooks() -> Generator[None, None, None]:
    """Without the variables by which git tells its hooks, and all that they start, whose hook it is."""
    with pytest.MonkeyPatch.context() as patch:
        for name in OF_A_HOOK:
            patch.delenv(name, raising=False)
        yield
