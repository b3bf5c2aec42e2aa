"""Another revision beside this one: a git worktree of it, and a process for either side."""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from variants.errors import UserError

from .contamination import Usage
from .worker import Block, BlockError

CONSTRAINTS = "constraints.txt"
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
        return Path(_git(path, "rev-parse", "--show-toplevel"))
    except UserError:
        raise UserError(f"--against: {path} is in no git checkout; clone the repository to compare revisions") from None


@contextlib.contextmanager
def worktree(checkout: Path, revision: str) -> Generator[Path, None, None]:
    """A temporary worktree of `revision`, removed afterwards.

    Raises UserError if the revision is unknown or pins other packages than those of this checkout.
    """
    try:
        commit = _git(checkout, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except UserError:
        raise UserError(f"--against {revision}: no such revision in {checkout} (in CI, fetch it first)") from None
    try:
        theirs = _git(checkout, "show", f"{commit}:{CONSTRAINTS}")
    except UserError:
        raise UserError(f"--against {revision}: it has no {CONSTRAINTS}, so nobody knows its packages") from None
    if theirs != (checkout / CONSTRAINTS).read_text().strip():
        raise UserError(f"--against {revision}: its {CONSTRAINTS} differs, so it needs other packages than these")
    with tempfile.TemporaryDirectory(prefix="diartbench-", ignore_cleanup_errors=True) as folder:
        tree = Path(folder).resolve() / "tree"
        _git(checkout, "worktree", "add", "--detach", "--quiet", str(tree), commit)
        try:
            yield tree
        finally:
            _git(checkout, "worktree", "remove", "--force", str(tree))


def _git(where: Path, *arguments: str) -> str:
    """Output of a git command, without surrounding space; UserError with its last line if it fails."""
    try:
        done = subprocess.run(["git", "-C", str(where), *arguments], capture_output=True, text=True, check=False)
    except OSError as error:
        raise UserError(f"git cannot be run: {error}") from None
    if done.returncode:
        raise UserError(f"git {arguments[0]}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return done.stdout.strip()


class Worker:
    """A process that measures the code of one tree.

    names: the variants that it can run. broken: why it cannot run others. registered: all that it knows.

    options: values of the command line by name, as JSON knows them. Raises UserError if the tree cannot be measured.
    """

    def __init__(self, tree: Path, side: str, options: Mapping[str, Any], names: list[str]) -> None:
        self.side = side
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process
        command = [sys.executable, "-c", START, str(tree), str(GATE)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        try:
            hello = self._ask(tree=str(tree), options=options, names=names)
            if "error" in hello:
                what = hello["error"] if hello["mine"] else f"it cannot be measured by this gate ({hello['error']})"
                raise UserError(f"{self.side}: {what}")
        except BaseException:
            self.close()
            raise
        self.names: list[str] = hello["names"]
        self.broken: dict[str, str] = hello["broken"]
        self.registered: list[str] = hello["registered"]

    def block(self, kind: str, name: str, number: int) -> Block:
        """One block of one variant, measured there. Raises BlockError if the variant raises."""
        found = self._ask(kind=kind, name=name, number=number)
        if "failed" in found:
            raise BlockError(found["failed"])
        usage = [Usage(**used) for used in found["usage"]]
        return Block(found["seconds"], found["stages"], usage, found["pinned"])

    def _ask(self, **question: Any) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        line = ""
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(question), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            last = (self._errors.read().strip().splitlines() or [f"exit code {self._process.returncode}"])[-1]
            raise UserError(f"{self.side}: its process died ({last})")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()
