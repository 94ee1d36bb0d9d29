"""A clock for servers that a test moves by hand: between two moves no time passes."""

import os
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent / "clock"


class StillClock:
    """`environment` makes a Python process and its children read this clock. `now` is in microseconds UTC."""

    def __init__(self, path: Path, now: int) -> None:
        self._path = path
        path.write_bytes(bytes(8))
        path_list = os.pathsep.join(filter(None, [str(_FOLDER), os.environ.get("PYTHONPATH")]))
        self.environment = {"TESTS_CLOCK": str(path), "PYTHONPATH": path_list}
        self.now = now
        self._show()

    def move(self, microseconds: int) -> None:
        """Let time pass, for all who read it at once."""
        self.now += microseconds
        self._show()

    def _show(self) -> None:
        with self._path.open("r+b") as file:  # in place: the readers have it in their memory
            file.write((self.now * 1000).to_bytes(8, "little"))
