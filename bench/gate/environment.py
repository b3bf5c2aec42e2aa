"""Another Python environment beside this one: its interpreter, and what is installed there otherwise than here."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from variants.errors import UserError

INTERPRETERS = ("bin/python", "Scripts/python.exe")
FIRST = ("Python", "torch", "onnxruntime", "diart", "pyannote-audio", "numpy")  # told before others
TOLD = 6  # differences
# -c has the current folder on its path, where a checkout's *.egg-info may lie.
VERSIONS = """
import json, platform, re, sys
from importlib.metadata import distributions
sys.path.pop(0)
found = {"Python": platform.python_version()}
for one in distributions():
    if one.metadata["Name"]:  # the first on the path is the one that is imported
        found.setdefault(re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower(), one.version)
print(json.dumps(found))
"""


def interpreter(folder: Path) -> Path:
    """The Python of a virtual environment; UserError if there is none."""
    for name in INTERPRETERS:
        if (found := folder / name).is_file():
            return found
    raise UserError(f"--against-env {folder}: no environment: it has no {INTERPRETERS[0]}")


def versions(python: Path) -> dict[str, str]:
    """Version of each package that an interpreter finds, and its own; UserError if it cannot be run."""
    try:
        done = subprocess.run([python, "-c", VERSIONS], capture_output=True, text=True, check=True)
        found: dict[str, str] = json.loads(done.stdout)
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or [f"exit code {error.returncode}"])[-1]
        raise UserError(f"--against-env: {python} fails: {last}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"--against-env: {python} cannot be run: {error}") from None
    return found


def difference(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    """What differs, in words, as "torch 2.7.1 (here 2.8.0)", the packages that matter most first; or that nothing does.

    A package that only one of them has counts if it is the other's, too, or among those that matter.
    """
    names = [name for name in here if there.get(name) != here[name] and (name in there or name in FIRST)]
    names.sort(key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))
    if not names:
        return "the same versions of all packages"
    shown = [f"{name} {there.get(name, 'missing')} (here {here[name]})" for name in names[:TOLD]]
    return ", ".join(shown) + (f" and {len(names) - TOLD} more" if len(names) > TOLD else "")


def changed(folder: Path) -> str:
    """How that environment differs from the one that runs this, in words; UserError if it cannot be run."""
    return difference(versions(interpreter(folder)), versions(Path(sys.executable)))
