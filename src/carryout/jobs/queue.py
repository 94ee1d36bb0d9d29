"""What rooms and the command line may do with the queue."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from carryout.clock import DAY
from carryout.db import Tx
from carryout.errors import CarryoutError, Kind
from carryout.jobs import store
from carryout.jobs.model import JobView, NewJob

CHANNEL: Final = "jobs"
_KEEP_DAYS: Final = 7


class JobUnknown(CarryoutError):
    """There is no job {job_id}."""

    kind = Kind.NOT_FOUND


class JobNotIdle(CarryoutError):
    """Job {job_id} is {state}. What waits or is dead or cancelled can be retried; what has not ended, cancelled."""

    kind = Kind.CONFLICT


async def enqueue(
    tx: Tx,
    kind: str,
    payload: Mapping[str, Any],
    *,
    store_id: int | None = None,
    run_at: int,
    priority: int = 0,
    dedupe_key: str | None = None,
) -> int | None:
    """Insert a job that runs from `run_at` on, the greater priority first; its id, or None when it is spared.

    It is spared when one with this `dedupe_key` waits and has not begun. A job with a `store_id` goes with its store.
    """
    written = msgspec.json.encode(payload).decode()
    job_id = await store.insert_job(tx, NewJob(store_id, kind, written, run_at, priority, dedupe_key))
    if job_id is not None:
        tx.wake(CHANNEL)
    return job_id


async def list_jobs(tx: Tx, limit: int = 100, *, with_finished: bool = False) -> list[JobView]:
    """The newest jobs that wait, run or are dead; `with_finished` also those that were done or cancelled."""
    return await store.list_jobs(tx, limit, with_finished=with_finished)


async def retry_job(tx: Tx, job_id: int, now: int) -> JobView:
    """Run a dead, cancelled or waiting job now, with all its attempts. Errors: `JobUnknown`, `JobNotIdle`."""
    if retried := await store.retry_job(tx, job_id, now):
        tx.wake(CHANNEL)
        return retried
    return await _refuse(tx, job_id)


async def cancel_job(tx: Tx, job_id: int, now: int) -> JobView:
    """End a job that has not ended; a running one is stopped within 20 seconds. Errors: `JobUnknown`, `JobNotIdle`.

    A periodic job that was cancelled comes back when a worker starts.
    """
    return await store.cancel_job(tx, job_id, now) or await _refuse(tx, job_id)


async def prune_finished(tx: Tx, now: int) -> int:
    """Delete the jobs that were done or cancelled a week ago; dead ones are kept. How many."""
    return await store.delete_finished(tx, now - _KEEP_DAYS * DAY)


async def _refuse(tx: Tx, job_id: int) -> JobView:
    job = await store.find_job(tx, job_id)
    if job is None:
        raise JobUnknown(job_id=job_id)
    raise JobNotIdle(job_id=job_id, state="running" if job.outcome is None else job.outcome.value)
