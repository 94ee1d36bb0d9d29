"""`carryout serve` around a small application, as a program: `python -m tests.cli.small_program PORT WORKERS`.

The application says which process answered and what it was built with; `FAIL` in the environment makes its start
fail, `by design` or `by accident`.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from carryout.cli.serve import serve
from carryout.errors import CarryoutError
from carryout.keyring import Keyring
from carryout.settings import Settings, load
from carryout.web.metrics import Metrics


class SchemaWrong(CarryoutError):
    """The schema is wrong. Run `carryout migrate`."""


def build(_settings: Settings, base_url: str, keyring: Keyring, *, run_jobs: bool, metrics_dir: str | None) -> ASGIApp:
    """The application, as `carryout.app.build` builds the real one."""
    assert keyring.keys
    metrics = Metrics(metrics_dir)

    async def show(_request: Request) -> Response:
        metrics.count_request("/", "GET", 200, 0.001)
        return JSONResponse({"pid": os.getpid(), "base_url": base_url, "run_jobs": run_jobs})

    async def show_slowly(_request: Request) -> Response:
        os.write(2, b"slow request began\n")
        await asyncio.sleep(0.5)
        return JSONResponse({"finished": True})

    async def show_metrics(_request: Request) -> Response:
        return Response(metrics.exposition())

    @asynccontextmanager
    async def live(_app: Starlette) -> AsyncIterator[None]:
        match os.environ.get("FAIL"):
            case "by design":
                raise SchemaWrong
            case "by accident":
                raise ZeroDivisionError
        yield
        os.write(2, b"the application ended\n")

    routes = [Route("/", show), Route("/slow", show_slowly), Route("/metrics", show_metrics)]
    return Starlette(routes=routes, lifespan=live)


def main() -> int:
    """Serve, as the command does."""
    port, workers = int(sys.argv[1]), int(sys.argv[2])
    try:
        serve(load(os.environ, Path.cwd()), port=port, workers=workers, app="tests.cli.small_program:build")
    except CarryoutError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
