"""Whether the process lives (`/healthz`) and whether it can work (`/readyz`)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

Probe = Callable[[], Awaitable[bool]]

_PROBE_SECONDS: Final = 5
_NO_STORE: Final = {"cache-control": "no-store"}


class HealthDoor:
    """`GET /healthz` and `GET /readyz`. The probes are `is_answering` of the database and of the storage."""

    def __init__(self, database: Probe, storage: Probe) -> None:
        self._probes = {"database": database, "storage": storage}

    async def alive(self, _request: Request) -> Response:
        """200 as long as the process answers at all; it asks nobody."""
        return JSONResponse({"status": "ok"}, headers=_NO_STORE)

    async def ready(self, _request: Request) -> Response:
        """200 when database and storage answer, else 503; it names which, and nothing of why."""
        names = list(self._probes)
        answers = await asyncio.gather(*(_answers(self._probes[name]) for name in names))
        is_ready = all(answers)
        body = {"status": "ok" if is_ready else "unavailable"} | {
            name: "ok" if answer else "unavailable" for name, answer in zip(names, answers, strict=True)
        }
        return JSONResponse(body, 200 if is_ready else 503, _NO_STORE if is_ready else _NO_STORE | {"retry-after": "5"})


async def _answers(probe: Probe) -> bool:
    try:
        return await asyncio.wait_for(probe(), _PROBE_SECONDS)
    except Exception:  # noqa: BLE001  # whatever a probe fails with, the answer is no
        return False
