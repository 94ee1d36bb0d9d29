"""Job: pruning the calls of the merchant API whose time to be repeated is over."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from carryout.clock import Clock
from carryout.db import Database
from carryout.jobs.model import Job
from carryout.merchants import service

PRUNE_CALLS: Final = "prune_api_calls"
SCHEDULE: Final[Mapping[str, int]] = {PRUNE_CALLS: 3600}  # seconds


@dataclass(frozen=True)
class MerchantTasks:
    """Handlers; each batch is a transaction of its own, and running a job again changes nothing twice."""

    database: Database
    now: Clock

    async def prune_calls(self, job: Job) -> None:
        """Delete what is older than 24 hours, in batches; the payload is empty."""
        del job
        while await self.database.write(service.prune_calls, self.now()):
            pass
