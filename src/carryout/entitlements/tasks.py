"""Jobs: reaching the orders that already bought what an asset was attached to, and applying changed limits."""

from dataclasses import dataclass

from carryout.clock import Clock
from carryout.db import Database, Tx
from carryout.entitlements import service
from carryout.jobs.model import Job
from carryout.merchants import service as merchants


@dataclass(frozen=True)
class EntitlementTasks:
    """Handlers; each batch is a transaction of its own, and running a job again changes nothing twice."""

    database: Database
    now: Clock

    async def reach_orders(self, job: Job) -> None:
        """Grant an asset to those who already bought; `payload`: `{"asset_id"}`."""
        after: int | None = 0
        while after is not None:
            after = await self.database.write(_reach, job.store_id, int(job.payload["asset_id"]), after, self.now())

    async def apply_settings(self, job: Job) -> None:
        """Apply the store's limits to grants that exist; the payload is empty."""
        after: int | None = 0
        while after is not None:
            after = await self.database.write(_apply, job.store_id, after)


async def _reach(tx: Tx, store_id: int, asset_id: int, after: int, now: int) -> int | None:
    owner = await merchants.find_by_id(tx, store_id)
    return None if owner is None else await service.reach_orders(tx, owner, asset_id, after, now)


async def _apply(tx: Tx, store_id: int, after: int) -> int | None:
    owner = await merchants.find_by_id(tx, store_id)
    return None if owner is None else await service.apply_settings(tx, owner, after)
