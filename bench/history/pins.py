"""Which stored runs are references: a small file beside them, one pin for each set of conditions."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from variants.errors import UserError
from variants.files import write_atomically

from .runs import StoredRun
from .storage import locked

FILE, SCHEMA = "pinned.json", "diartbench-pins/1"


class Pins:
    """The pins of a storage folder: conditions and name of each pinned run. UserError for a file that holds none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            saved = json.loads((folder / FILE).read_bytes())
            if saved["schema"] != SCHEMA:
                raise ValueError(f"its schema is {saved['schema']}, not {SCHEMA}")
            self._pins = [(dict(pin["conditions"]), str(pin["run"])) for pin in saved["pins"]]
        except FileNotFoundError:
            self._pins = []
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            why = f"{type(error).__name__}: {error}"
            raise UserError(f"{folder / FILE}: not what `python -m bench history pin` writes ({why})") from None

    @property
    def names(self) -> set[str]:
        """Of all pinned runs."""
        return {name for _, name in self._pins}

    def of(self, conditions: Mapping[str, Any]) -> str | None:
        """The name of the run that is pinned for these conditions (`runs.conditions_of`)."""
        return next((name for pinned, name in self._pins if pinned == conditions), None)

    def pin(self, run: StoredRun) -> str | None:
        """Pin a run in place of the one for the same conditions, whose name is returned."""
        with locked(self.folder):
            self._pins = Pins(self.folder)._pins
            former = self.of(run.conditions)
            self._write([*((c, name) for c, name in self._pins if c != run.conditions), (run.conditions, run.name)])
        return former

    def unpin(self, name: str) -> None:
        """Remove the pin of a run, which need not exist any more; UserError if there is none."""
        with locked(self.folder):
            self._pins = Pins(self.folder)._pins
            if name not in self.names:
                raise UserError(f"{name} is not pinned; pinned: {', '.join(sorted(self.names)) or 'none'}")
            self._write([pin for pin in self._pins if pin[1] != name])

    def _write(self, pins: list[tuple[dict[str, Any], str]]) -> None:
        saved = {"schema": SCHEMA, "pins": [{"run": name, "conditions": conditions} for conditions, name in pins]}
        write_atomically(self.folder / FILE, json.dumps(saved, indent=2) + "\n")
        self._pins = pins
