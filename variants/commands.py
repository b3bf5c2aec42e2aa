"""What the commands do alike: numbers on the command line, and one line for what is the user's to mend."""

import argparse
import math
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from .errors import UserError

STOPPED = 130  # as shells have it for Ctrl-C


def command(program: str, run: Callable[[], object]) -> int:
    """Run a command: 0 if all went well, 1 after one line on stderr that says what did not, 130 after Ctrl-C."""
    warnings.simplefilter("ignore")  # of the libraries' own dependencies
    try:
        run()
        sys.stdout.flush()
    except BrokenPipeError:  # of `| head`: who reads wants no more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        print(f"{program}: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    except UserError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return STOPPED
    return 0


def number(kind: type, low: float, high: float = math.inf, limit: str | None = None) -> Callable[[str], float]:
    """An argparse type: numbers of `kind` from `low` to `high`, finite; `limit` says so in words."""

    def parse(text: str) -> float:
        value: float = kind(text)
        if not low <= value <= high or math.isinf(value):
            raise argparse.ArgumentTypeError(f"{text} is not {limit or f'at least {low:g}'}")
        return value

    parse.__name__ = "number"  # what argparse calls it in its message
    return parse


def place(text: str) -> Path:
    """An argparse type: a file or folder; an empty name, such as that of an unset variable, is not the current one."""
    if not text:
        raise argparse.ArgumentTypeError("is empty: name a file or folder")
    return Path(text)
