"""Runs jobs: a few lanes that claim, run and end one job each, until they are told to stop.

A claim is a lease of 60 seconds, renewed while the job runs. Whoever dies loses the lease, and the job runs again; a
job that failed waits longer each time, and is dead after ten attempts: kept with its error, and shown. A lane looks
again when a commit wakes it (of this process, and of every other on PostgreSQL), when the next job is due, and every
five seconds. A job of a kind that nobody here knows stays in the queue, with a word about it.
"""

import asyncio
import random
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import asyncpg
import structlog

from carryout.clock import SECOND, Clock
from carryout.db import Database, Tx
from carryout.db.postgresql import PostgresqlDatabase
from carryout.errors import CarryoutError
from carryout.jobs import store
from carryout.jobs.model import Claim, Ending, Job, Outcome
from carryout.jobs.queue import CHANNEL, enqueue

JobFunction = Callable[[Job], Awaitable[None]]

MAX_ATTEMPTS: Final = 10
_POLL_SECONDS: Final = 5.0
_BREATH_SECONDS: Final = 0.02
_FIRST_BACKOFF_SECONDS: Final = 5
_MAX_BACKOFF_SECONDS: Final = 6 * 3600
_LOST_EAR = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
_log: Final[Any] = structlog.get_logger("carryout.jobs")


class Worker:
    """The job loop of one process. `schedule` maps the kinds that repeat to their interval in seconds."""

    lanes = 4
    lease_seconds = 60.0

    def __init__(
        self,
        database: Database,
        handlers: Mapping[str, JobFunction],
        now: Clock,
        owner: str,
        schedule: Mapping[str, int] | None = None,
    ) -> None:
        self._database = database
        self._handlers = handlers
        self._kinds = list(handlers)
        self._now = now
        self._owner = owner
        self._schedule = schedule or {}
        self._woken = asyncio.Event()
        self._is_stopping = False

    async def run(self) -> None:
        """Run jobs until `stop`; returns when the running ones are finished."""
        self._database.listen(CHANNEL, self._woken.set)
        ear = asyncio.create_task(self._hear())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self.lanes):
                    group.create_task(self._run_lane())
        finally:
            ear.cancel()
            with suppress(asyncio.CancelledError):
                await ear

    def stop(self) -> None:
        """Begin no further job; `run` returns when the running ones are finished."""
        self._is_stopping = True
        self._woken.set()

    async def run_due(self) -> int:
        """Run what is due, one after the other, until nothing is; how many."""
        await self._database.write(_seed, self._schedule, self._now())
        count = 0
        while not self._is_stopping and await self._run_next():
            count += 1
        return count

    # ── a lane

    async def _run_lane(self) -> None:
        is_seeded = False
        while not self._is_stopping:
            self._woken.clear()
            try:
                if not is_seeded:
                    await self._database.write(_seed, self._schedule, self._now())
                    is_seeded = True
                if await self._run_next():
                    continue
                pause_seconds = await self._find_pause()
            except Exception:  # noqa: BLE001 - the database is away, or refuses: nothing is lost, the leases see to that
                _log.exception("job_lane_failed")
                pause_seconds = _POLL_SECONDS
            await self._wait(pause_seconds)

    async def _wait(self, seconds: float) -> None:
        if self._is_stopping:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    async def _find_pause(self) -> float:
        """Seconds until there may be something to do: at most until the next poll."""
        now = self._now()
        if await self._database.read(store.find_unknown, self._kinds, now):
            await self._database.write(store.update_unknown, self._kinds, now)
        next_at = await self._database.read(store.find_next_at, self._kinds)
        if next_at is None:
            return _POLL_SECONDS
        return min(max((next_at - now) / SECOND, _BREATH_SECONDS), _POLL_SECONDS)

    async def _run_next(self) -> bool:
        now = self._now()
        next_at = await self._database.read(store.find_next_at, self._kinds)
        if next_at is None or next_at > now or self._is_stopping:
            return False
        job = await self._database.write(store.claim_job, self._kinds, self._owner, now, self._lease_end(now))
        if job is None:
            return False
        self._woken.set()  # where one was due there may be more: the other lanes look too
        await self._run_claimed(job)
        return True

    async def _run_claimed(self, job: Job) -> None:
        log = _log.bind(job_id=job.id, kind=job.kind, attempt=job.attempts)
        if job.attempts > MAX_ATTEMPTS:
            await self._end(job, Outcome.DEAD, "Its process died each time while it ran.")
            log.error("job_dead")
            return
        running = asyncio.ensure_future(self._handlers[job.kind](job))
        lease = asyncio.create_task(self._keep_lease(job, running))
        try:
            await running
        except asyncio.CancelledError:
            if not lease.done():
                raise  # the worker itself was cancelled; the lease runs out
            log.warning("job_lost")
        except Exception as error:
            log.exception("job_failed")
            await self._fail(job, error)
        else:
            await self._end(job, Outcome.DONE, None)
        finally:
            running.cancel()
            lease.cancel()

    async def _keep_lease(self, job: Job, running: asyncio.Future[None]) -> None:
        while True:
            await asyncio.sleep(self.lease_seconds / 3)
            try:
                is_ours = await self._database.write(store.renew_lease, self._claim(job), self._lease_end(self._now()))
            except CarryoutError:
                continue  # busy; two more tries before the lease runs out
            if not is_ours:
                running.cancel()
                return

    # ── how a job ends

    async def _fail(self, job: Job, error: Exception) -> None:
        words = _describe(error)
        if job.attempts >= MAX_ATTEMPTS:
            await self._end(job, Outcome.DEAD, words)
            return
        run_at = self._now() + int(backoff_seconds(job.attempts, random.random()) * SECOND)  # noqa: S311 - jitter, no secret
        await self._database.write(store.postpone_job, self._claim(job), words, run_at)

    async def _end(self, job: Job, outcome: Outcome, error: str | None) -> None:
        ending = Ending(outcome, error, self._now())
        await self._database.write(_end, self._claim(job), ending, job.kind, self._schedule.get(job.kind))

    def _claim(self, job: Job) -> Claim:
        return Claim(job.id, self._owner, job.attempts)

    def _lease_end(self, now: int) -> int:
        return now + int(self.lease_seconds * SECOND)

    # ── the other processes' wake-ups

    async def _hear(self) -> None:
        if not isinstance(self._database, PostgresqlDatabase):
            return
        while True:
            with suppress(*_LOST_EAR):
                await self._database.hear()
            self._woken.set()  # what was called out meanwhile was missed
            await asyncio.sleep(1)


def backoff_seconds(attempts: int, luck: float) -> float:
    """How long a job that failed `attempts` times waits; `luck` in [0, 1) spreads what failed together."""
    longest: int = min(_FIRST_BACKOFF_SECONDS * 3 ** (attempts - 1), _MAX_BACKOFF_SECONDS)
    return longest * (0.5 + luck / 2)


async def _seed(tx: Tx, schedule: Mapping[str, int], now: int) -> None:
    """Queue what repeats, unless it waits, runs or is about to be tried again."""
    for kind in schedule:
        if await store.find_open(tx, kind) is None:
            await _enqueue_periodic(tx, kind, now)


async def _enqueue_periodic(tx: Tx, kind: str, run_at: int) -> None:
    await enqueue(tx, kind, {}, run_at=run_at, dedupe_key=f"every {kind}")


async def _end(tx: Tx, claim: Claim, ending: Ending, kind: str, interval_seconds: int | None) -> None:
    """End a job; one that repeats is queued anew, also when it died."""
    if await store.end_job(tx, claim, ending) and interval_seconds is not None:
        await _enqueue_periodic(tx, kind, ending.at + interval_seconds * SECOND)


def _describe(error: Exception) -> str:
    """What is kept of an error: our own sentence, else its type and place; a foreign text may hold what is secret."""
    if isinstance(error, CarryoutError):
        return error.message
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
