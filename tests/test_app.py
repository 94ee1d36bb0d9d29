import asyncio
from typing import Any

import pytest

from carryout import app
from carryout.keyring import Keyring
from carryout.settings import Settings
from carryout.shopify.tasks import SCHEDULE
from tests.conftest import SECRET


async def _live(application: Any) -> list[str]:
    """Start an application and end it again, as a server does; what it said."""
    said: asyncio.Queue[str] = asyncio.Queue()
    told = asyncio.Queue[dict[str, str]]()
    told.put_nowait({"type": "lifespan.startup"})

    async def send(message: dict[str, str]) -> None:
        said.put_nowait(message["type"])

    running = asyncio.create_task(application({"type": "lifespan", "asgi": {}, "state": {}}, told.get, send))
    started = await said.get()
    told.put_nowait({"type": "lifespan.shutdown"})
    await running
    return [started, await said.get()]


@pytest.mark.parametrize("run_jobs", [True, False])
async def test_it_lives_from_startup_to_shutdown(settings: Settings, run_jobs: bool) -> None:  # noqa: FBT001  # a parameter
    application = app.build(settings, "http://127.0.0.1:8000", Keyring([SECRET]), run_jobs=run_jobs)

    assert await _live(application) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_every_kind_of_job_that_is_scheduled_has_its_handler(settings: Settings) -> None:
    house = app.open_house(settings, Keyring([SECRET]))

    assert {app.PRUNE_JOBS, *SCHEDULE} <= set(app.job_handlers(house))
    assert app.make_worker(house) is not None
    await house.database.close()
