"""`carryout serve` and `carryout worker`."""

import asyncio
import signal
from typing import Annotated

from cyclopts import Parameter

from carryout.app import House, make_worker
from carryout.cli import logs
from carryout.cli import serve as server
from carryout.cli.output import say
from carryout.cli.session import Session, load_settings, run
from carryout.db import is_embedded, open_database
from carryout.db.migrate import check, upgrade
from carryout.merchants import service as merchants
from carryout.settings import Settings, secret_keys


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 1,
    jobs: Annotated[bool, Parameter(negative="--no-jobs", help="Run background jobs too.")] = True,
) -> None:
    """Serve HTTP, and run jobs in the background; an embedded database is migrated first."""
    settings = load_settings()
    server.serve(settings, host=host, port=port, workers=workers, run_jobs=jobs, prepare=lambda: _prepare(settings))


def worker() -> None:
    """Run background jobs until SIGTERM, which lets the running ones finish."""
    run(_work)


async def _work(session: Session) -> None:
    logs.configure(session.settings.log_format, session.settings.log_level)
    await session.database.write(merchants.apply_plans, session.settings.left_out)
    working = make_worker(House(session.settings, session.keyring, session.database, session.storage))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, working.stop)
    say("Carryout is running jobs")
    await working.run()


def _prepare(settings: Settings) -> None:
    """Under the lock of `serve`: the secret, the schema (migrated where it is embedded), and the plans of the file."""
    secret_keys(settings)
    if is_embedded(settings.database_url):
        upgrade(settings.database_url)
    else:
        check(settings.database_url)
    asyncio.run(_apply_plans(settings))


async def _apply_plans(settings: Settings) -> None:
    database = open_database(settings.database_url)
    try:
        await database.write(merchants.apply_plans, settings.left_out)
    finally:
        await database.close()
