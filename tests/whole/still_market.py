"""A market whose clock stands still until a test moves it, and its one server."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from carryout.db import open_database
from carryout.settings import Settings
from tests.cast import NOW
from tests.downloads.market import Market
from tests.whole.shop import Reply, send
from tests.world.program import Server
from tests.world.still_clock import StillClock

T = TypeVar("T")


class StillMarket(Market):
    """A market with one server, whose clock stands still, and its database, open all the while."""

    def __init__(
        self, installation: Settings, folder: Path, start: Callable[..., Server], contents: Sequence[bytes]
    ) -> None:
        self._runner = asyncio.Runner()
        self._database = open_database(installation.database_url)
        self._start = start
        self.clock = StillClock(folder / "clock", NOW)
        super().__init__(installation)
        self.assets = [self.file(content) for content in contents]
        self.restart()

    def restart(self) -> None:
        """Start a server."""
        self.server = self._start("--no-jobs", CARRYOUT_GUESS_LIMIT="0", **self.clock.environment)

    def close(self) -> None:
        """Let go of the database."""
        self._runner.run(self._database.close())
        self._runner.close()

    def write(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run one transaction of ours."""
        return self._runner.run(self._database.write(work, *args))

    def read(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Look, and be in nobody's way: asking again and again in a transaction that writes holds up the server."""
        return self._runner.run(self._database.read(work, *args))

    def request(self, path: str, address: str, headers: dict[str, str] | None = None, method: str = "GET") -> Reply:
        """One request, and all of its answer."""
        return send(self.server, method, path, headers=headers, address=address)

    def handed_bytes(self) -> int:
        """What the server has handed to the network since it started."""
        figures = send(self.server, "GET", "/metrics").body.decode()
        found = re.search(r"^carryout_sent_bytes_total (\S+)$", figures, re.MULTILINE)
        return int(float(found[1])) if found else 0
