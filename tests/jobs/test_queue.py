import pytest

from carryout.clock import DAY, MINUTE
from carryout.db import Database, Tx
from carryout.jobs import queue, store
from carryout.jobs.model import Claim, Ending, Job, Outcome
from carryout.merchants import service as merchants
from tests.cast import NOW
from tests.merchants.makers import make_store


async def enqueue(tx: Tx, dedupe_key: str | None = None, store_id: int | None = None) -> int:
    job_id = await queue.enqueue(tx, "sweep", {}, run_at=NOW, dedupe_key=dedupe_key, store_id=store_id)
    return job_id or 0


async def claim(database: Database) -> Job | None:
    return await database.write(store.claim_job, ["sweep"], "one", NOW, NOW + MINUTE)


async def end(database: Database, job_id: int, outcome: Outcome) -> None:
    assert await database.write(store.end_job, Claim(job_id, "one", 1), Ending(outcome, "why", NOW))


async def test_a_job_that_waits_already_is_spared(database: Database) -> None:
    assert await database.write(enqueue, "floor 2")
    assert not await database.write(enqueue, "floor 2")
    assert await database.write(enqueue, "floor 3")
    assert len(await database.read(queue.list_jobs)) == 2


async def test_a_job_is_queued_behind_one_that_began(database: Database) -> None:
    """What the running one has read may be old by now: nothing that happened since may be lost."""
    await database.write(enqueue, "floor 2")
    await claim(database)
    assert await database.write(enqueue, "floor 2")
    assert not await database.write(enqueue, "floor 2")


async def test_a_job_is_not_there_when_its_cause_was_undone(database: Database) -> None:
    async def fail(tx: Tx) -> None:
        await enqueue(tx)
        raise KeyError

    with pytest.raises(KeyError):
        await database.write(fail)
    assert await database.read(queue.list_jobs) == []


async def test_jobs_go_with_their_store(database: Database) -> None:
    owner = await database.write(make_store)
    await database.write(enqueue, None, owner.id)
    kept = await database.write(enqueue)
    await database.write(merchants.delete_store, owner.id)
    assert [job.id for job in await database.read(queue.list_jobs)] == [kept]


@pytest.mark.parametrize("outcome", [Outcome.DEAD, Outcome.CANCELLED])
async def test_a_dead_or_cancelled_job_is_retried_by_hand(database: Database, outcome: Outcome) -> None:
    job_id = await database.write(enqueue)
    await claim(database)
    await end(database, job_id, outcome)
    retried = await database.write(queue.retry_job, job_id, NOW + 5)
    assert (retried.outcome, retried.attempts, retried.run_at, retried.error) == (None, 0, NOW + 5, "why")


async def test_a_waiting_job_is_retried_at_once(database: Database) -> None:
    job_id = await database.write(enqueue)
    await claim(database)
    assert await database.write(store.postpone_job, Claim(job_id, "one", 1), "why", NOW + DAY)
    assert (await database.write(queue.retry_job, job_id, NOW)).run_at == NOW


async def test_a_retried_job_may_have_an_equal_one_beside_it(database: Database) -> None:
    job_id = await database.write(enqueue, "floor 2")
    await database.write(queue.cancel_job, job_id, NOW)
    assert await database.write(enqueue, "floor 2")
    assert (await database.write(queue.retry_job, job_id, NOW)).outcome is None


async def test_a_running_or_finished_job_is_not_retried(database: Database) -> None:
    job_id = await database.write(enqueue)
    await claim(database)
    with pytest.raises(queue.JobNotIdle, match="is running"):
        await database.write(queue.retry_job, job_id, NOW)
    await end(database, job_id, Outcome.DONE)
    with pytest.raises(queue.JobNotIdle, match="is done"):
        await database.write(queue.retry_job, job_id, NOW)
    with pytest.raises(queue.JobNotIdle, match="is done"):
        await database.write(queue.cancel_job, job_id, NOW)


async def test_a_cancelled_job_is_never_claimed(database: Database) -> None:
    job_id = await database.write(enqueue)
    assert (await database.write(queue.cancel_job, job_id, NOW)).outcome is Outcome.CANCELLED
    assert await claim(database) is None


async def test_an_unknown_job_is_not_found(database: Database) -> None:
    with pytest.raises(queue.JobUnknown):
        await database.write(queue.retry_job, 7, NOW)
    with pytest.raises(queue.JobUnknown):
        await database.write(queue.cancel_job, 7, NOW)


async def test_finished_jobs_are_listed_when_asked_for(database: Database) -> None:
    ids = [await database.write(enqueue) for _ in range(3)]
    await claim(database)
    await end(database, ids[0], Outcome.DONE)
    assert [job.id for job in await database.read(queue.list_jobs)] == [ids[2], ids[1]]
    everything = await database.read(store_list)
    assert everything == [ids[2], ids[1], ids[0]]


async def store_list(tx: Tx) -> list[int]:
    return [job.id for job in await queue.list_jobs(tx, with_finished=True)]


async def test_finished_jobs_are_pruned_after_a_week_and_dead_ones_kept(database: Database) -> None:
    ids = [await database.write(enqueue) for _ in range(4)]
    for _ in range(2):
        await claim(database)
    await end(database, ids[0], Outcome.DONE)
    await end(database, ids[1], Outcome.DEAD)
    await database.write(queue.cancel_job, ids[2], NOW)
    assert await database.write(queue.prune_finished, NOW + 7 * DAY) == 0
    assert await database.write(queue.prune_finished, NOW + 7 * DAY + 1) == 2
    assert await database.read(store_list) == [ids[3], ids[1]]
