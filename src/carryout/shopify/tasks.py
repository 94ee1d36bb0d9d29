"""Jobs of the inbox: trying again, forgetting for good, and pruning."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from carryout.clock import Clock
from carryout.db import Database
from carryout.jobs.model import Job
from carryout.shopify import service
from carryout.shopify.intake import Intake
from carryout.storage import Storage

RETRY_INBOX: Final = "retry_inbox"
PRUNE_INBOX: Final = "prune_inbox"
SCHEDULE: Final[Mapping[str, int]] = {PRUNE_INBOX: 24 * 3600}  # seconds


@dataclass(frozen=True)
class ShopifyTasks:
    """Handlers; running a job again changes nothing twice. `RETRY_INBOX` is queued when a new version starts."""

    database: Database
    intake: Intake
    storage: Storage
    now: Clock

    async def retry_inbox(self, job: Job) -> None:
        """Try what is parked once more; the payload is empty."""
        del job
        await self.intake.retry_parked()

    async def scrub(self, job: Job) -> None:
        """Leave nothing of what was redacted on the disk; `payload`: `{"tables"}`. A busy database has it run again."""
        await self.database.scrub(job.payload["tables"])

    async def delete_store_files(self, job: Job) -> None:
        """Delete the files of a store whose rows are gone; `payload`: `{"store_uid"}`."""
        await self.storage.delete_store(job.payload["store_uid"])

    async def prune_inbox(self, job: Job) -> None:
        """Drop old bodies and rows, in batches; the payload is empty."""
        del job
        while await self.database.write(service.prune, self.now()):
            pass
