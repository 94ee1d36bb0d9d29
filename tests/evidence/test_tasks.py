from carryout.clock import DAY
from carryout.db import Database
from carryout.evidence import service
from carryout.evidence.tasks import KEEP_DAYS, PRUNE_EVENTS, SCHEDULE, EvidenceTasks
from carryout.jobs import queue
from carryout.jobs.runner import Worker
from tests.cast import NOW
from tests.evidence.makers import list_ids, record, verify
from tests.merchants.makers import KEYRING, make_store


def make_worker(database: Database, now: int) -> Worker:
    tasks = EvidenceTasks(database, KEYRING, lambda: now)
    handlers = {service.CHAIN_EVENTS: tasks.chain_events, PRUNE_EVENTS: tasks.prune_events}
    return Worker(database, handlers, lambda: now, "a worker", SCHEDULE)


async def test_what_was_recorded_is_chained_and_in_time_pruned(database: Database) -> None:
    mira = await database.write(make_store)
    await record(database, mira, 3)
    await make_worker(database, NOW + DAY).run_due()
    found = await verify(database, mira)
    assert (found.events, found.unchained, found.broken) == (3, 0, None)
    await make_worker(database, NOW + (KEEP_DAYS + 2) * DAY).run_due()
    assert await database.read(list_ids) == []
    assert (await verify(database, mira)).broken is None
    assert all(job.error is None for job in await database.read(queue.list_jobs))
