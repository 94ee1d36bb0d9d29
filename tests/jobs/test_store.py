import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carryout.clock import MINUTE
from carryout.db import Database, Tx
from carryout.jobs import store
from carryout.jobs.model import Claim, Ending, Job, NewJob, Outcome
from tests.cast import NOW

LEASE_END = NOW + MINUTE


async def insert(tx: Tx, kind: str = "sweep", run_at: int = NOW, priority: int = 0) -> int | None:
    return await store.insert_job(tx, NewJob(None, kind, '{"floor": 2}', run_at, priority, None))


async def claim(
    database: Database, now: int = NOW, owner: str = "one", kinds: tuple[str, ...] = ("sweep",)
) -> Job | None:
    return await database.write(store.claim_job, list(kinds), owner, now, now + MINUTE)


async def test_a_due_job_is_claimed_once(database: Database) -> None:
    job_id = await database.write(insert)
    assert await claim(database) == Job(job_id or 0, None, "sweep", {"floor": 2}, 1)
    assert await claim(database, owner="two") is None


async def test_many_claims_at_once_never_share_a_job(database: Database) -> None:
    for _ in range(5):
        await database.write(insert)
    claimed = await asyncio.gather(*(claim(database, owner=f"owner {number}") for number in range(12)))
    ids = [job.id for job in claimed if job]
    assert len(ids) == len(set(ids))
    while job := await claim(database):  # a claim that lost a race may have left one behind
        ids.append(job.id)
    assert len(ids) == len(set(ids)) == 5


async def test_a_job_is_not_claimed_before_its_time(database: Database) -> None:
    await database.write(insert, "sweep", NOW + 1)
    assert await claim(database) is None
    assert await database.read(store.find_next_at, ["sweep"]) == NOW + 1
    assert await claim(database, NOW + 1) is not None


async def test_the_greater_priority_goes_first_then_the_older(database: Database) -> None:
    late = await database.write(insert, "sweep", NOW)
    early = await database.write(insert, "sweep", NOW - 1)
    urgent = await database.write(insert, "sweep", NOW, 9)
    order = [await claim(database) for _ in range(3)]
    assert [job.id for job in order if job] == [urgent, early, late]


async def test_a_lease_that_ran_out_can_be_claimed_and_the_old_claim_is_lost(database: Database) -> None:
    await database.write(insert)
    first = await claim(database)
    assert first is not None
    second = await claim(database, LEASE_END)
    assert second is not None
    assert second.attempts == 2
    ending = Ending(Outcome.DONE, None, LEASE_END)
    old, new = Claim(first.id, "one", 1), Claim(second.id, "one", 2)
    assert not await database.write(store.renew_lease, old, LEASE_END)
    assert not await database.write(store.postpone_job, old, "failed", LEASE_END)
    assert not await database.write(store.end_job, old, ending)
    assert await database.write(store.renew_lease, new, LEASE_END + MINUTE)
    assert await database.write(store.end_job, new, ending)


async def test_jobs_of_other_kinds_stay_and_are_marked(database: Database) -> None:
    job_id = await database.write(insert, "unheard of")
    assert await claim(database) is None
    assert await database.read(store.find_next_at, ["sweep"]) is None
    assert await database.read(store.find_unknown, ["sweep"], NOW) == job_id
    assert await database.write(store.update_unknown, ["sweep"], NOW) == 1
    assert await database.read(store.find_unknown, ["sweep"], NOW) is None
    assert await database.read(store.find_unknown, ["unheard of"], NOW) is None
    assert (await claim(database, kinds=("unheard of",))) is not None


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    waiting=st.lists(st.tuples(st.integers(-2, 2), st.integers(-1, 1), st.booleans()), max_size=6),
    now=st.integers(-2, 2),
)
async def test_what_is_due_and_what_is_claimed_agree(
    database: Database, waiting: list[tuple[int, int, bool]], now: int
) -> None:
    """`find_next_at` says that there is something to claim exactly when `claim_job` claims."""

    async def begin(tx: Tx) -> tuple[int | None, Job | None]:
        await store.delete_finished(tx, 1)
        for run_at, priority, is_known in waiting:
            await insert(tx, "sweep" if is_known else "unheard of", NOW + run_at, priority)
        next_at = await store.find_next_at(tx, ["sweep"])
        job = await store.claim_job(tx, ["sweep"], "one", NOW + now, NOW + now)
        for view in await store.list_jobs(tx, 100, with_finished=False):
            await store.cancel_job(tx, view.id, 0)
        return next_at, job

    next_at, job = await database.write(begin)
    assert (job is not None) == (next_at is not None and next_at <= NOW + now)
