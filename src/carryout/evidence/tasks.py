"""Jobs: chaining what was recorded, and pruning what is old."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from carryout.clock import Clock
from carryout.db import Database
from carryout.evidence import service
from carryout.jobs.model import Job
from carryout.keyring import Keyring

PRUNE_EVENTS: Final = "prune_events"
SCHEDULE: Final[Mapping[str, int]] = {PRUNE_EVENTS: 24 * 3600}  # seconds
# Card networks take disputes for up to 540 days.
KEEP_DAYS: Final = 730


@dataclass(frozen=True)
class EvidenceTasks:
    """Handlers; each batch is a transaction of its own, and running a job again changes nothing twice."""

    database: Database
    keyring: Keyring
    now: Clock
    keep_days: int = KEEP_DAYS

    async def chain_events(self, job: Job) -> None:
        """Chain what the store of the job has recorded; the payload is empty."""
        while await self.database.write(service.chain, job.store_id, self.keyring, self.now()):
            pass

    async def prune_events(self, job: Job) -> None:
        """Delete old events of every store, in batches; the payload is empty."""
        del job
        for store_id in await self.database.read(service.list_due_chains):
            prune = partial(service.prune, keyring=self.keyring, now=self.now())
            while await self.database.write(prune, store_id, self.keep_days):
                pass
