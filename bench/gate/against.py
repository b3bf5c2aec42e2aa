"""Another revision beside this one: a git worktree of it, and a process for either side."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

from bench.history.git import OF_A_HOOK
from variants.errors import UserError

from . import messages
from .messages import (
    VERSION,
    Block,
    Count,
    Counted,
    Hello,
    Measure,
    Open,
    Opened,
    ProtocolError,
    Raised,
    Refused,
    Request,
)
from .worker import BlockError

A = TypeVar("A", Hello, Opened, Block, Counted)
CONSTRAINTS = "constraints.txt"
SIDE = "bench/run/side.py"  # all that the worker needs of a tree
GATE = Path(__file__).parent
# `gate` is this revision's package under a name of its own; `bench` and `variants` are those of the tree.
START = """
import sys, importlib.util as util
tree, gate = sys.argv[1:]
sys.path[0] = tree
spec = util.spec_from_file_location("gate", gate + "/__init__.py", submodule_search_locations=[gate])
sys.modules["gate"] = module = util.module_from_spec(spec)
spec.loader.exec_module(module)
from gate.worker import main
main()
"""


def checkout_of(path: Path) -> Path:
    """The git checkout that holds `path`; UserError if there is none."""
    try:
        return Path(git(path, "rev-parse", "--show-toplevel"))
    except UserError:
        raise UserError(f"--against: {path} is in no git checkout; clone the repository to compare revisions") from None


def commit_of(checkout: Path, revision: str, environment: bool = False) -> str:
    """The commit of `revision`, by git alone: nothing is checked out. environment: whether it is given one of its own.

    Raises UserError if it is unknown, too old to be measured, or pins other packages than those that it would have.
    """
    try:
        commit = git(checkout, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except UserError:
        raise UserError(f"--against {revision}: no such revision in {checkout} (in CI, fetch it first)") from None
    try:
        git(checkout, "cat-file", "-e", f"{commit}:{SIDE}")
    except UserError:
        raise UserError(f"--against {revision}: too old to be compared with: it has no {SIDE}") from None
    if environment:
        return commit
    try:
        theirs = git(checkout, "show", f"{commit}:{CONSTRAINTS}")
    except UserError:
        raise UserError(f"--against {revision}: it has no {CONSTRAINTS}, so nobody knows its packages") from None
    mine = checkout / CONSTRAINTS
    if not mine.is_file() or theirs != mine.read_text(encoding="utf-8").strip():
        raise UserError(
            f"--against {revision}: its {CONSTRAINTS} differs, so it needs other packages than these: "
            f"make an environment of that revision (`make setup VENV=DIR` there), and add --against-env DIR"
        )
    return commit


@contextlib.contextmanager
def worktree(checkout: Path, revision: str, environment: bool = False) -> Generator[Path, None, None]:
    """A temporary worktree of `revision`, removed afterwards; UserError as from `commit_of`."""
    commit = commit_of(checkout, revision, environment)
    with tempfile.TemporaryDirectory(prefix="diartbench-", ignore_cleanup_errors=True) as folder:
        tree = Path(folder).resolve() / "tree"
        git(checkout, "worktree", "add", "--detach", "--quiet", str(tree), commit)
        try:
            yield tree
        finally:
            git(checkout, "worktree", "remove", "--force", str(tree))


def git(where: Path, *arguments: str) -> str:
    """Output of a git command, without surrounding space; UserError with its last line if it fails."""
    environment = {name: value for name, value in os.environ.items() if name not in OF_A_HOOK}
    try:
        done = subprocess.run(
            ["git", "-C", str(where), *arguments],
            capture_output=True, encoding="utf-8", errors="surrogateescape", check=False, env=environment,
        )  # fmt: skip
    except OSError as error:
        raise UserError(f"git cannot be run: {error}") from None
    if done.returncode:
        raise UserError(f"git {arguments[0]}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return done.stdout.strip()


class Worker:
    """A process that measures the code of one tree, by an interpreter that is not necessarily this one.

    names: the variants that it can run. broken: why it cannot run others. registered: all that it knows.

    side: what errors call it. Raises UserError if the tree cannot be measured.
    """

    def __init__(self, side: str, order: Open, python: Path | str = sys.executable) -> None:
        self.side = side
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - lives as long as the process
        command = [str(python), "-c", START, order.tree, str(GATE)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, encoding="utf-8"
        )
        try:
            hello = self._hear(Hello)
            if hello.version != VERSION:
                raise UserError(f"{side}: its process speaks version {hello.version} of the protocol, not {VERSION}")
            opened = self._ask(order, Opened)
        except BaseException:
            self.close()
            raise
        self.names, self.broken, self.registered = opened.names, opened.broken, opened.registered

    def block(self, kind: str, name: str, number: int) -> Block:
        """One block of one variant, measured there. Raises BlockError if the variant raises."""
        return self._ask(Measure(kind, name, number), Block)

    def counts(self, name: str) -> dict[str, float]:
        """What that tree counts of a variant. Raises BlockError if it counts nothing, or cannot."""
        return self._ask(Count(name), Counted).counts

    def _ask(self, request: Request, wanted: type[A]) -> A:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died: there is no answer either
            print(messages.line(request), file=self._process.stdin, flush=True)
        return self._hear(wanted)

    def _hear(self, wanted: type[A]) -> A:
        assert self._process.stdout is not None
        if not (text := self._process.stdout.readline()):
            self._process.wait()
            self._errors.seek(0)
            last = (self._errors.read().strip().splitlines() or [f"exit code {self._process.returncode}"])[-1]
            raise UserError(f"{self.side}: its process died ({last})")
        try:
            found = messages.answer(text)
        except ProtocolError as error:
            raise UserError(f"{self.side}: its process does not keep to the protocol: {error}") from None
        if isinstance(found, wanted):
            return found
        if isinstance(found, Raised):
            raise BlockError(found.why)
        if isinstance(found, Refused):
            raise UserError(f"{self.side}: {found.why}")
        raise UserError(f"{self.side}: its process answered {found}")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()
