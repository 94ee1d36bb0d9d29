"""Jobs: collecting the files that nothing refers to any more, and what crashes left in the storage."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from carryout.catalog import service
from carryout.clock import DAY, Clock
from carryout.db import Database, Tx
from carryout.jobs.model import Job
from carryout.merchants import service as merchants
from carryout.merchants.model import Store
from carryout.storage import Storage

COLLECT_BLOBS: Final = "collect_blobs"
SCHEDULE: Final[Mapping[str, int]] = {COLLECT_BLOBS: 24 * 3600}  # seconds
# A file is stored before anything refers to it: what is younger may just be on its way.
KEEP_MICROSECONDS: Final = DAY
_BATCH: Final = 500

# Of the digests from the first to the last, those that somebody above us still needs.
Keeper = Callable[[Tx, int, bytes, bytes], Awaitable[Collection[bytes]]]


@dataclass(frozen=True)
class CollectionTasks:
    """Handlers; running a job again changes nothing twice."""

    database: Database
    storage: Storage
    now: Clock
    keepers: Sequence[Keeper] = ()

    async def collect_blobs(self, job: Job) -> None:
        """Delete, of every store, the old files that no version, logo or keeper refers to; the payload is empty.

        Errors: `StorageUnavailable`.
        """
        del job
        before = self.now() - KEEP_MICROSECONDS
        await self.storage.delete_leftovers(before)
        for owner in await self.database.read(merchants.list_all):
            old = [blob.sha256 for blob in await self.storage.list_blobs(owner.uid) if blob.stored_at < before]
            for start in range(0, len(old), _BATCH):
                await self._collect(owner, old[start : start + _BATCH], before)

    async def _collect(self, owner: Store, digests: Sequence[bytes], before: int) -> None:
        needed = await self.database.read(self._list_needed, owner, digests[0], digests[-1], before)
        for sha256 in digests:
            if sha256 not in needed:
                await self.storage.delete_unless_newer(owner.uid, sha256, before)

    async def _list_needed(self, tx: Tx, owner: Store, first: bytes, last: bytes, before: int) -> set[bytes]:
        needed = set(await service.list_kept(tx, owner, first, last, before))
        for keeper in self.keepers:
            needed.update(await keeper(tx, owner.id, first, last))
        return needed
