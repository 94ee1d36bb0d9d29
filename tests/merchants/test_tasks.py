from carryout.clock import DAY
from carryout.db import Database, Tx
from carryout.jobs.model import Job
from carryout.merchants.store import calls
from carryout.merchants.tasks import MerchantTasks
from tests.cast import NOW
from tests.merchants.callers import make_key
from tests.merchants.makers import make_store

JOB = Job(1, None, "prune_api_calls", {}, 1)


async def test_calls_older_than_a_day_are_pruned(database: Database) -> None:
    async def call_twice(tx: Tx) -> None:
        store = await make_store(tx)
        await make_key(tx, store)
        assert await calls.insert_call(tx, store.id, 1, b"old", b"request", NOW - DAY)
        assert await calls.insert_call(tx, store.id, 1, b"new", b"request", NOW - DAY + 1)

    await database.write(call_twice)
    await MerchantTasks(database, lambda: NOW).prune_calls(JOB)

    assert await database.write(calls.insert_call, 1, 1, b"old", b"request", NOW - DAY)
    assert not await database.write(calls.insert_call, 1, 1, b"new", b"request", NOW - DAY + 2)
