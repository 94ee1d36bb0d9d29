import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from carryout import clock
from carryout.clock import HOUR, MINUTE, SECOND
from carryout.db import Database, Tx, open_database
from carryout.errors import CarryoutError
from carryout.jobs import queue, store
from carryout.jobs.model import Job, JobView, Outcome
from carryout.jobs.runner import MAX_ATTEMPTS, JobFunction, Worker, backoff_seconds
from tests.cast import NOW

PATIENCE_SECONDS: Final = 4  # less than a poll: what comes in this time was woken


class FloorMissing(CarryoutError):
    """There is no floor {floor}."""


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> int:
        """Answer what the test set."""
        return self.at


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as captured:
        yield captured


@pytest.fixture
def time() -> Time:
    return Time()


async def enqueue(database: Database, kind: str = "sweep", **payload: Any) -> int:
    async def work(tx: Tx) -> int:
        return await queue.enqueue(tx, kind, payload, run_at=NOW) or 0

    return await database.write(work)


async def find(database: Database, job_id: int) -> JobView:
    async def work(tx: Tx) -> list[JobView]:
        return await queue.list_jobs(tx, with_finished=True)

    return next(job for job in await database.read(work) if job.id == job_id)


def failing(error: Exception) -> JobFunction:
    async def fail(job: Job) -> None:
        assert job.kind == "sweep"
        raise error

    return fail


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return once the condition holds; a time limit around it is the caller's."""
    while not await condition():  # noqa: ASYNC110 - the database has no event to wait for
        await asyncio.sleep(0.01)


async def running(worker: Worker, until: Awaitable[object]) -> None:
    """Let a worker run until something came true, then stop it."""
    task = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await until
    finally:
        worker.stop()
        await task


async def test_a_due_job_runs_with_its_payload(database: Database, time: Time) -> None:
    seen: list[Job] = []

    async def sweep(job: Job) -> None:
        seen.append(job)

    job_id = await enqueue(database, floor=2)
    assert await Worker(database, {"sweep": sweep}, time, "one").run_due() == 1
    assert seen == [Job(job_id, None, "sweep", {"floor": 2}, 1)]
    ended = await find(database, job_id)
    assert (ended.outcome, ended.error, ended.finished_at, ended.lease_until) == (Outcome.DONE, None, NOW, None)


async def test_a_failed_job_waits_and_runs_again(
    database: Database, time: Time, logs: list[MutableMapping[str, Any]]
) -> None:
    calls = Counter[str]()

    async def sweep(job: Job) -> None:
        calls[job.kind] += 1
        if job.attempts == 1:
            raise FloorMissing(floor=2)

    job_id = await enqueue(database)
    worker = Worker(database, {"sweep": sweep}, time, "one")
    await worker.run_due()
    waiting = await find(database, job_id)
    assert (waiting.outcome, waiting.error) == (None, "There is no floor 2.")
    assert NOW + 2 * SECOND < waiting.run_at <= NOW + 5 * SECOND
    time.at = waiting.run_at
    await worker.run_due()
    assert (await find(database, job_id)).outcome is Outcome.DONE
    assert calls["sweep"] == 2
    assert [(entry["event"], entry["job_id"], entry["attempt"]) for entry in logs] == [("job_failed", job_id, 1)]


async def test_a_job_is_dead_after_ten_attempts_and_kept(database: Database, time: Time) -> None:
    job_id = await enqueue(database)
    worker = Worker(database, {"sweep": failing(RuntimeError("the secret"))}, time, "one")
    for _ in range(MAX_ATTEMPTS):
        await worker.run_due()
        time.at += 6 * HOUR
    dead = await find(database, job_id)
    assert (dead.outcome, dead.attempts) == (Outcome.DEAD, MAX_ATTEMPTS)
    assert dead.error is not None
    assert dead.error.startswith("RuntimeError in test_runner.py, line ")
    assert await worker.run_due() == 0


async def test_a_job_that_kills_its_process_each_time_dies_too(database: Database, time: Time) -> None:
    job_id = await enqueue(database)
    for _ in range(MAX_ATTEMPTS):
        await database.write(store.claim_job, ["sweep"], "killed", time.at, time.at + MINUTE)
        time.at += MINUTE
    await Worker(database, {"sweep": failing(AssertionError())}, time, "one").run_due()
    dead = await find(database, job_id)
    assert (dead.outcome, dead.error) == (Outcome.DEAD, "Its process died each time while it ran.")


async def test_a_job_of_an_unknown_kind_waits_with_a_word(database: Database, time: Time) -> None:
    job_id = await enqueue(database, "unheard of")
    worker = Worker(database, {"sweep": failing(AssertionError())}, time, "one")

    async def is_marked() -> bool:
        return (await find(database, job_id)).error is not None

    await running(worker, eventually(is_marked))
    waiting = await find(database, job_id)
    assert (waiting.outcome, waiting.attempts) == (None, 0)
    assert waiting.error is not None


async def test_a_commit_wakes_the_worker(database: Database) -> None:
    is_swept = asyncio.Event()

    async def sweep(_: Job) -> None:
        is_swept.set()

    async def caused() -> None:
        await asyncio.sleep(0.1)  # the lanes have looked, and found nothing
        await enqueue(database)
        await is_swept.wait()

    await running(Worker(database, {"sweep": sweep}, clock.now, "one"), caused())


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_commit_of_another_process_wakes_the_worker(database: Database, database_url: str) -> None:
    is_swept = asyncio.Event()
    elsewhere = open_database(database_url)

    async def sweep(_: Job) -> None:
        is_swept.set()

    async def caused() -> None:
        while not is_swept.is_set():  # the ear takes a moment to be there
            await enqueue(elsewhere)
            await asyncio.sleep(0.1)

    try:
        await running(Worker(database, {"sweep": sweep}, clock.now, "one"), caused())
    finally:
        await elsewhere.close()


async def test_several_workers_run_each_job_once(database: Database, database_url: str) -> None:
    ran = Counter[int]()
    ids = [await enqueue(database) for _ in range(40)]
    databases = [open_database(database_url) for _ in range(3)]

    async def sweep(job: Job) -> None:
        ran[job.id] += 1
        await asyncio.sleep(0)

    async def is_all_done() -> bool:
        return len(ran) == len(ids)

    workers = [Worker(each, {"sweep": sweep}, clock.now, f"worker {n}") for n, each in enumerate(databases)]
    await asyncio.gather(*(running(worker, eventually(is_all_done)) for worker in workers))
    for each in databases:
        await each.close()
    assert ran == Counter(ids)


async def test_stopping_finishes_what_runs_and_begins_nothing_new(database: Database) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()

    async def sweep(_: Job) -> None:
        began.set()
        await may_end.wait()

    worker = Worker(database, {"sweep": sweep}, clock.now, "one")
    worker.lanes = 1
    job_id = await enqueue(database)
    task = asyncio.create_task(worker.run())
    await asyncio.wait_for(began.wait(), PATIENCE_SECONDS)
    worker.stop()
    later_id = await enqueue(database)
    may_end.set()
    await asyncio.wait_for(task, PATIENCE_SECONDS)
    assert (await find(database, job_id)).outcome is Outcome.DONE
    assert (await find(database, later_id)).attempts == 0


async def test_a_lease_is_renewed_while_its_job_runs(database: Database, time: Time) -> None:
    async def sweep(job: Job) -> None:
        before = (await find(database, job.id)).lease_until
        time.at += SECOND

        async def is_renewed() -> bool:
            return (await find(database, job.id)).lease_until != before

        await eventually(is_renewed)

    job_id = await enqueue(database)
    worker = Worker(database, {"sweep": sweep}, time, "one")
    worker.lease_seconds = 0.03
    async with asyncio.timeout(PATIENCE_SECONDS):
        await worker.run_due()
    assert (await find(database, job_id)).outcome is Outcome.DONE


async def test_a_cancelled_job_is_stopped_while_it_runs(database: Database, time: Time) -> None:
    async def sweep(job: Job) -> None:
        await database.write(queue.cancel_job, job.id, NOW)
        await asyncio.Event().wait()

    job_id = await enqueue(database)
    worker = Worker(database, {"sweep": sweep}, time, "one")
    worker.lease_seconds = 0.03
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await worker.run_due() == 1
    assert (await find(database, job_id)).outcome is Outcome.CANCELLED


@pytest.mark.parametrize("does_fail", [False, True])
async def test_a_periodic_job_comes_back(database: Database, time: Time, *, does_fail: bool) -> None:
    ran: list[int] = []

    async def sweep(_: Job) -> None:
        ran.append(time.at)
        if does_fail:
            raise FloorMissing(floor=2)

    worker = Worker(database, {"sweep": sweep}, time, "one", {"sweep": 3600})
    attempts = MAX_ATTEMPTS if does_fail else 1
    for _ in range(attempts):
        assert await worker.run_due() == 1
        time.at += 6 * HOUR
    assert await worker.run_due() == 1
    assert len(ran) == attempts + 1
    assert len([job for job in await database.read(queue.list_jobs) if job.outcome is None]) == 1


async def test_a_periodic_job_waits_its_interval(database: Database, time: Time) -> None:
    ran: list[int] = []

    async def sweep(_: Job) -> None:
        ran.append(time.at)

    worker = Worker(database, {"sweep": sweep}, time, "one", {"sweep": 3600})
    await worker.run_due()
    time.at += HOUR - 1
    await worker.run_due()
    assert ran == [NOW]
    time.at += 1
    await worker.run_due()
    assert ran == [NOW, NOW + HOUR]


KILLED: Final = """
import asyncio, sys
from carryout.clock import now
from carryout.db import open_database
from carryout.jobs.runner import Worker
async def sweep(job):
    print("began", flush=True)
    await asyncio.Event().wait()
async def main():
    await Worker(open_database(sys.argv[1]), {"sweep": sweep}, now, "killed").run()
asyncio.run(main())
"""


async def test_a_job_of_a_killed_process_runs_again_after_its_lease(database: Database, database_url: str) -> None:
    job_id = await enqueue(database)
    program = [sys.executable, "-c", KILLED, database_url]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:  # noqa: ASYNC220 - it dies here
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "began\n"
        process.kill()
    seen: list[Job] = []

    async def sweep(job: Job) -> None:
        seen.append(job)

    async def run_at(shift: int) -> int:
        return await Worker(database, {"sweep": sweep}, lambda: clock.now() + shift, "one").run_due()

    assert await run_at(0) == 0
    assert await run_at(MINUTE) == 1
    assert [(job.id, job.attempts) for job in seen] == [(job_id, 2)]


async def test_the_worker_survives_a_database_that_fails(database: Database) -> None:
    """A broken queue is said in the log and looked at again; here the clock breaks once, as a database would."""
    is_swept = asyncio.Event()
    failures: list[CarryoutError] = [FloorMissing(floor=2)]

    def now() -> int:
        if failures:
            raise failures.pop()
        return clock.now()

    async def sweep(_: Job) -> None:
        is_swept.set()

    await enqueue(database)
    await running(Worker(database, {"sweep": sweep}, now, "one"), is_swept.wait())


@given(st.integers(1, MAX_ATTEMPTS), st.floats(0, 1, exclude_max=True))
def test_a_job_waits_longer_each_time_and_at_most_six_hours(attempts: int, luck: float) -> None:
    waits = backoff_seconds(attempts, luck)
    assert 2.5 <= waits <= 6 * 3600
    assert backoff_seconds(attempts + 1, luck) >= waits
