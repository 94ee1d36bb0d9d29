"""The queue's SQL. A job is claimed, renewed and ended by one conditional statement each.

A claim is named by its owner and the number of the attempt: whoever lost it (its lease ran out, it was cancelled or
claimed anew) finds that its statements touch no row.
"""

import msgspec
from sqlalchemy import and_, bindparam, delete, func, not_, null, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from carryout.db import Query, Statement, Tx, among
from carryout.db.tables import jobs
from carryout.jobs.model import Claim, Ending, Job, JobView, NewJob, Outcome

_j = jobs.c
_JOB = (_j.id, _j.store_id, _j.kind, _j.payload, _j.attempts)
_VIEW = (
    _j.id, _j.store_id, _j.kind, _j.attempts, _j.run_at, _j.lease_until, _j.outcome, _j.error, _j.finished_at,
)  # fmt: skip
_WAITS = _j.outcome.is_(None)
_IS_FREE = or_(_j.lease_until.is_(None), _j.lease_until <= bindparam("now"))
_IS_OLD_NEWS = or_(_j.outcome == Outcome.DONE.value, _j.outcome == Outcome.CANCELLED.value)
_IS_MINE = and_(
    _j.id == bindparam("job_id"),
    _j.lease_owner == bindparam("owner"),
    _j.attempts == bindparam("attempt"),
    _WAITS,
)

_INSERT = Query(
    insert(jobs)
    .values(
        store_id=bindparam("store_id"),
        kind=bindparam("kind"),
        payload=bindparam("payload"),
        run_at=bindparam("run_at"),
        priority=bindparam("priority"),
        dedupe_key=bindparam("dedupe_key"),
        created_at=bindparam("run_at"),
    )
    .on_conflict_do_nothing(
        index_elements=["dedupe_key"], index_where=text("outcome IS NULL AND dedupe_key IS NOT NULL")
    )
    .returning(_j.id),
    int,
)
_due = jobs.alias("due")
_MOST_URGENT = (
    select(_due.c.id)
    .where(
        _due.c.outcome.is_(None),
        _due.c.run_at <= bindparam("now"),
        or_(_due.c.lease_until.is_(None), _due.c.lease_until <= bindparam("now")),
        among(_due.c.kind, "kinds"),
    )
    .order_by(_due.c.priority.desc(), _due.c.run_at, _due.c.id)
    .limit(1)
    .with_for_update(skip_locked=True)  # PostgreSQL only; on SQLite there is one writer anyway
)
_CLAIM = Query(
    update(jobs)
    .where(_j.id == _MOST_URGENT.scalar_subquery())
    .values(
        lease_until=bindparam("lease_until"),
        lease_owner=bindparam("owner"),
        attempts=_j.attempts + 1,
        # Once it runs, an equal job may be queued behind it: what this one has read may be old by then.
        dedupe_key=null(),
    )
    .returning(*_JOB),
    Job,
)
_NEXT = Query(
    select(func.min(func.coalesce(_j.lease_until, _j.run_at)).label("at")).where(_WAITS, among(_j.kind, "kinds")), int
)
_FIND_OPEN = Query(select(_j.id).where(_WAITS, _j.kind == bindparam("kind")).limit(1), int)
_RENEW = Query(update(jobs).where(_IS_MINE).values(lease_until=bindparam("lease_until")).returning(_j.id), int)
_END = Query(
    update(jobs)
    .where(_IS_MINE)
    .values(
        outcome=bindparam("outcome"),
        error=bindparam("error"),
        finished_at=bindparam("now"),
        lease_until=null(),
        lease_owner=null(),
    )
    .returning(_j.id),
    int,
)
_POSTPONE = Query(
    update(jobs)
    .where(_IS_MINE)
    .values(run_at=bindparam("run_at"), error=bindparam("error"), lease_until=null(), lease_owner=null())
    .returning(_j.id),
    int,
)
_RETRY = Query(
    update(jobs)
    .where(
        _j.id == bindparam("job_id"),
        or_(_j.outcome == Outcome.DEAD.value, _j.outcome == Outcome.CANCELLED.value, and_(_WAITS, _IS_FREE)),
    )
    .values(
        outcome=null(),
        finished_at=null(),
        lease_until=null(),
        lease_owner=null(),
        dedupe_key=null(),
        attempts=0,
        run_at=bindparam("now"),
    )
    .returning(*_VIEW),
    JobView,
)
_CANCEL = Query(
    update(jobs)
    .where(_j.id == bindparam("job_id"), _WAITS)
    .values(outcome=Outcome.CANCELLED.value, finished_at=bindparam("now"), dedupe_key=null())
    .returning(*_VIEW),
    JobView,
)
_IS_UNKNOWN = (_WAITS, _j.run_at <= bindparam("now"), _j.error.is_(None), not_(among(_j.kind, "kinds")))
_FIND_UNKNOWN = Query(select(_j.id).where(*_IS_UNKNOWN).limit(1), int)
_MARK_UNKNOWN = Statement(
    update(jobs).where(*_IS_UNKNOWN).values(error="This version of Carryout does not know this kind of job.")
)
_FIND = Query(select(*_VIEW).where(_j.id == bindparam("job_id")), JobView)
_LIST = Query(select(*_VIEW).order_by(_j.id.desc()).limit(bindparam("limit")), JobView)
_LIST_OPEN = Query(
    select(*_VIEW)
    .where(or_(_WAITS, _j.outcome == Outcome.DEAD.value))
    .order_by(_j.id.desc())
    .limit(bindparam("limit")),
    JobView,
)
_DELETE_FINISHED = Statement(delete(jobs).where(_IS_OLD_NEWS, _j.finished_at < bindparam("before")))


async def insert_job(tx: Tx, job: NewJob) -> int | None:
    """Insert a job; None when one with its key waits already."""
    return await tx.one(_INSERT, **msgspec.structs.asdict(job))


async def claim_job(tx: Tx, kinds: list[str], owner: str, now: int, lease_until: int) -> Job | None:
    """Claim the most urgent job of these kinds that is due, or None."""
    return await tx.one(_CLAIM, kinds=kinds, owner=owner, now=now, lease_until=lease_until)


async def find_next_at(tx: Tx, kinds: list[str]) -> int | None:
    """When the first waiting job of these kinds is due or the first lease runs out, or None."""
    return await tx.one(_NEXT, kinds=kinds)


async def find_open(tx: Tx, kind: str) -> int | None:
    """A job of this kind that has not ended, or None."""
    return await tx.one(_FIND_OPEN, kind=kind)


async def renew_lease(tx: Tx, claim: Claim, lease_until: int) -> bool:
    """Keep a claim; False when it is lost."""
    return await tx.one(_RENEW, **msgspec.structs.asdict(claim), lease_until=lease_until) is not None


async def end_job(tx: Tx, claim: Claim, ending: Ending) -> bool:
    """End a claimed job; False when the claim is lost."""
    ended = await tx.one(
        _END, **msgspec.structs.asdict(claim), outcome=ending.outcome.value, error=ending.error, now=ending.at
    )
    return ended is not None


async def postpone_job(tx: Tx, claim: Claim, error: str, run_at: int) -> bool:
    """Let go of a claimed job that failed, until `run_at`; False when the claim is lost."""
    return await tx.one(_POSTPONE, **msgspec.structs.asdict(claim), error=error, run_at=run_at) is not None


async def retry_job(tx: Tx, job_id: int, now: int) -> JobView | None:
    """Make a dead, cancelled or waiting job due now with all its attempts, or None."""
    return await tx.one(_RETRY, job_id=job_id, now=now)


async def cancel_job(tx: Tx, job_id: int, now: int) -> JobView | None:
    """End a job that has not ended, or None."""
    return await tx.one(_CANCEL, job_id=job_id, now=now)


async def find_unknown(tx: Tx, kinds: list[str], now: int) -> int | None:
    """A due job of another kind that has no error yet, or None."""
    return await tx.one(_FIND_UNKNOWN, kinds=kinds, now=now)


async def update_unknown(tx: Tx, kinds: list[str], now: int) -> int:
    """Write on due jobs of other kinds that nobody here knows them; how many."""
    return await tx.run(_MARK_UNKNOWN, kinds=kinds, now=now)


async def find_job(tx: Tx, job_id: int) -> JobView | None:
    """One job, or None."""
    return await tx.one(_FIND, job_id=job_id)


async def list_jobs(tx: Tx, limit: int, *, with_finished: bool) -> list[JobView]:
    """The newest jobs, newest first."""
    return await tx.all(_LIST if with_finished else _LIST_OPEN, limit=limit)


async def delete_finished(tx: Tx, before: int) -> int:
    """Delete jobs that were done or cancelled before this time; how many."""
    return await tx.run(_DELETE_FINISHED, before=before)
