from carryout.db import Database
from carryout.jobs.model import Job
from carryout.sessions.tasks import PRUNE_SESSIONS, SCHEDULE, SETTLE_SESSIONS, SessionTasks
from tests.cast import NOW
from tests.sessions.makers import DAY, make_shop


def job(kind: str) -> Job:
    return Job(1, None, kind, {}, 1)


async def test_the_job_settles_more_than_a_batch_of_sessions_and_again_nothing(database: Database) -> None:
    shop = await make_shop(database)
    sessions = [(await shop.open(b"%d" % number)).session for number in range(103)]
    await shop.send(sessions[0], (0, 10_000_000))
    tasks = SessionTasks(database, lambda: NOW + DAY)
    await tasks.settle_sessions(job(SETTLE_SESSIONS))
    assert await shop.used() == [1]
    assert await shop.stopped(*sessions) == [session.id for session in sessions]
    await tasks.settle_sessions(job(SETTLE_SESSIONS))
    assert await shop.used() == [1]


async def test_the_job_leaves_what_is_not_over(database: Database) -> None:
    shop = await make_shop(database)
    session = (await shop.open()).session
    await SessionTasks(database, lambda: NOW + DAY - 1).settle_sessions(job(SETTLE_SESSIONS))
    assert await shop.stopped(session) == []


async def test_the_job_prunes_what_ended_30_days_ago(database: Database) -> None:
    shop = await make_shop(database)
    session = (await shop.open()).session
    await shop.settle(DAY)
    await SessionTasks(database, lambda: NOW + 31 * DAY).prune_sessions(job(PRUNE_SESSIONS))
    assert (await shop.record(session, [])).remaining_bytes != ()
    await SessionTasks(database, lambda: NOW + 32 * DAY).prune_sessions(job(PRUNE_SESSIONS))
    assert (await shop.record(session, [])).remaining_bytes == ()


def test_both_jobs_repeat_by_themselves() -> None:
    assert SCHEDULE == {SETTLE_SESSIONS: 300, PRUNE_SESSIONS: 86_400}
