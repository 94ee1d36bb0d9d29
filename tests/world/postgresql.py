"""A PostgreSQL of our own: a cluster that lives as long as the test session, and a fresh database for each test."""

import asyncio
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import asyncpg

from carryout.db.migrate import upgrade

_TEMPLATE: Final = "migrated"
_START_SECONDS: Final = 60
_NO_DURABILITY: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
_SMALL: Final = ("shared_buffers=64MB", "max_connections=120", "unix_socket_directories=", "log_min_messages=fatal")


class ServerMissing(RuntimeError):
    """There is no PostgreSQL server on this machine. Run `make servers`, or install the package postgresql."""


class Cluster:
    """A running cluster on a free port of 127.0.0.1, and the databases in it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._numbers = itertools.count(1)

    def url(self, name: str) -> str:
        """The address of a database."""
        return f"postgresql://carryout@127.0.0.1:{self._port}/{name}"

    def make_empty(self) -> str:
        """The address of a new database without a table."""
        name = f"test_{next(self._numbers)}"
        self._run(f"CREATE DATABASE {name}")
        return self.url(name)

    def make_template(self) -> None:
        """Migrate one database, of which `make_migrated` hands out copies."""
        self._run(f"CREATE DATABASE {_TEMPLATE}")
        upgrade(self.url(_TEMPLATE))

    def make_migrated(self) -> str:
        """The address of a new database with our tables and no rows."""
        name = f"test_{next(self._numbers)}"
        self._run(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self._run(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    @contextmanager
    def away(self, url: str) -> Iterator[None]:
        """Meanwhile a database answers nobody."""
        name = url.rpartition("/")[2]
        self._run(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
        self._run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")  # noqa: S608 - a name of ours
        try:
            yield
        finally:
            self._run(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")

    def answers(self) -> bool:
        """Whether the server takes connections yet."""
        try:
            self._run("SELECT 1")
        except (OSError, asyncpg.PostgresError):
            return False
        return True

    def _run(self, sql: str) -> None:
        asyncio.run(_execute(self.url("postgres"), sql))


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Make a cluster, start it, and remove it at the end."""
    binaries = find_binaries()
    # Not pytest's own temporary folder: that one is closed to the unprivileged user who runs the server.
    folder = Path(tempfile.mkdtemp(prefix="carryout-postgresql-"))
    try:
        user = _unprivileged_user(folder)
        _initialise(binaries, folder / "data", user)
        with _started(binaries, folder, user) as cluster:
            cluster.make_template()
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def find_binaries() -> Path:
    """The folder of the newest server's programs. Debian keeps them off the PATH."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    if not versions:
        raise ServerMissing(ServerMissing.__doc__)
    return max(versions, key=lambda path: int(path.parent.name))


def _unprivileged_user(folder: Path) -> str | None:
    """PostgreSQL refuses to run as root: who runs it then, or None for ourselves."""
    if os.geteuid() != 0:
        return None
    user = "postgres" if "postgres" in {entry.pw_name for entry in pwd.getpwall()} else "nobody"
    entry = pwd.getpwnam(user)
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    return user


def _initialise(binaries: Path, data: Path, user: str | None) -> None:
    subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "carryout", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        check=True,
        capture_output=True,
        cwd=data.parent,
        user=user,
    )


@contextmanager
def _started(binaries: Path, folder: Path, user: str | None) -> Iterator[Cluster]:
    port = _free_port()
    options = [f"port={port}", "listen_addresses=127.0.0.1", *_NO_DURABILITY, *_SMALL]
    command = [str(binaries / "postgres"), "-D", str(folder / "data")]
    command += [part for option in options for part in ("-c", option)]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, user=user, start_new_session=True)
        try:
            cluster = Cluster(port)
            _wait_until_ready(cluster, process, log)
            yield cluster
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: nothing in it is worth a checkpoint
            process.wait()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _wait_until_ready(cluster: Cluster, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not cluster.answers():
        if process.poll() is not None or time.monotonic() > deadline:
            message = f"PostgreSQL did not start:\n{log.read_text()}"
            raise RuntimeError(message)
        time.sleep(0.02)
