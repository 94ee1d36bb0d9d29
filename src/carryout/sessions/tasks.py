"""Jobs: settling the sessions whose time is over, and pruning those that ended long ago."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from carryout.clock import Clock
from carryout.db import Database
from carryout.jobs.model import Job
from carryout.sessions import service

SETTLE_SESSIONS: Final = "settle_sessions"
PRUNE_SESSIONS: Final = "prune_sessions"
SCHEDULE: Final[Mapping[str, int]] = {SETTLE_SESSIONS: 5 * 60, PRUNE_SESSIONS: 24 * 3600}  # seconds
_BATCH: Final = 100


@dataclass(frozen=True)
class SessionTasks:
    """Handlers; each order is a transaction of its own, and running a job again changes nothing twice."""

    database: Database
    now: Clock

    async def settle_sessions(self, job: Job) -> None:
        """End what is over, of every store; the payload is empty. Whoever needs a use settles it without waiting."""
        del job
        now = self.now()
        while due := await self.database.read(service.list_due, now, _BATCH):
            for order in dict.fromkeys(due):
                await self.database.write(service.settle_order, order.store_id, order.order_id, now)

    async def prune_sessions(self, job: Job) -> None:
        """Delete what ended 30 days ago, in batches; the payload is empty."""
        del job
        while await self.database.write(service.prune, self.now()):
            pass
