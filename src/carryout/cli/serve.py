"""`carryout serve`: the socket first, then the data folder's lock, then the database, then one process or several."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from socket import socket
from typing import Final

from carryout.cli import logs, process
from carryout.cli.process import Job
from carryout.cli.supervisor import Supervisor
from carryout.db.database import is_embedded
from carryout.db.lock import hold_lock
from carryout.errors import CarryoutError, Kind
from carryout.settings import Settings
from carryout.web.server import listening_socket

APP: Final = "carryout.app:build"
_NO_DOCSTRINGS: Final = 2


class AddressNotFree(CarryoutError):
    """Carryout cannot listen on {host} port {port}: {reason}."""

    kind = Kind.MISCONFIGURED


def serve(  # the command's own options
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 1,
    run_jobs: bool = True,
    prepare: Callable[[], None] = lambda: None,
    app: str = APP,
) -> None:
    """Serve until SIGTERM or SIGINT. `prepare` runs under the lock, before any worker: migrations.

    Errors: `AddressNotFree`, `AlreadyServing`, and whatever of ours stops `prepare` or the application's start.
    """
    refuse_without_docstrings()
    logs.configure(settings.log_format, settings.log_level)
    with ExitStack() as stack:
        sock = stack.enter_context(_bound(host, port))
        lock = stack.enter_context(hold_lock(settings.data_dir)) if is_embedded(settings.database_url) else None
        prepare()
        address = _url(host, sock.getsockname()[1])
        job = Job(app=app, settings=settings, base_url=settings.base_url or address, run_jobs=run_jobs)

        def announce() -> None:
            sys.stderr.write(f"Carryout is listening on {address}\n")
            sys.stderr.flush()

        if workers > 1:
            Supervisor(job, workers, (sock, lock)).run(announce)
        else:
            process.run(job, sock, announce)


def refuse_without_docstrings() -> None:
    """End here under `python -OO`, which takes the docstrings away: ours are the messages that people read."""
    if sys.flags.optimize >= _NO_DOCSTRINGS:
        message = "Carryout does not run under python -OO: its messages are docstrings. Leave out one O."
        raise SystemExit(message)


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket]:
    try:
        sock = listening_socket(host, port)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AddressNotFree(host=host, port=port, reason=reason) from None
    with sock:
        # Held from here on: of two servers that start at once, the second is told before it touches the database.
        sock.listen()
        yield sock


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
