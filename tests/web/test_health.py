import asyncio
import json

import pytest
from starlette.requests import Request

from carryout.web.health import HealthDoor
from tests.web.serving import scope


async def well() -> bool:
    return True


async def ill() -> bool:
    return False


async def broken() -> bool:
    message = "password=hunter2"
    raise OSError(message)


REQUEST = Request(scope())


async def test_the_process_lives_whatever_the_database_says() -> None:
    response = await HealthDoor(broken, broken).alive(REQUEST)

    assert (response.status_code, json.loads(bytes(response.body))) == (200, {"status": "ok"})


async def test_it_is_ready_when_both_answer() -> None:
    response = await HealthDoor(well, well).ready(REQUEST)

    assert response.status_code == 200
    assert json.loads(bytes(response.body)) == {"status": "ok", "database": "ok", "storage": "ok"}


@pytest.mark.parametrize("probe", [ill, broken])
async def test_it_is_not_ready_when_one_does_not_and_tells_no_more(probe: object) -> None:
    response = await HealthDoor(well, probe).ready(REQUEST)  # type: ignore[arg-type]  # pytest hands over objects

    assert response.status_code == 503
    assert json.loads(bytes(response.body)) == {"status": "unavailable", "database": "ok", "storage": "unavailable"}


async def test_a_probe_that_hangs_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hanging() -> bool:
        await asyncio.Event().wait()
        return True

    monkeypatch.setattr("carryout.web.health._PROBE_SECONDS", 0)

    assert (await HealthDoor(hanging, well).ready(REQUEST)).status_code == 503
