"""Starts and stops what is measured: nginx, PostgreSQL, and the programs under test, each on its core."""

import contextlib
import http.client
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

SERVER_CORE = "0"
LOAD_CORE = "1"
_START_SECONDS = 60
_NGINX_CONF = """
{owner}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000000;
    open_file_cache max=100;
    default_type application/json;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {server}
    }}
}}
"""
_POSTGRESQL_CONF = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
shared_buffers = 512MB
max_wal_size = 4GB
"""


class ServerFailed(Exception):
    """A program under test did not start, or answered wrongly."""


class Running(NamedTuple):
    """A program that answers on a port."""

    port: int
    pid: int

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def resident_mib(self) -> list[tuple[float, float]]:
        """Resident memory of the process and its children: all of it, and the part that is not mapped files."""
        return [_resident_mib(pid) for pid in _family(self.pid)]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def program(command: list[str], port: int, folder: Path, environment: Mapping[str, str]) -> Iterator[Running]:
    """Run a server on the server's core until the block ends; ready when it answers a request."""
    log = folder / f"{Path(command[0]).name}-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, *command],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        running = Running(port, process.pid)
        _await(lambda: running.get("/"), process, log)
        yield running
    finally:
        _stop(process)


@contextlib.contextmanager
def nginx(folder: Path, server: str) -> Iterator[Running]:
    """One worker of nginx, which reads what we may; `server` is what its `server` block says."""
    port = free_port()
    configuration = folder / "nginx.conf"
    owner = "user root root;" if os.geteuid() == 0 else ""
    configuration.write_text(_NGINX_CONF.format(folder=folder, port=port, server=server, owner=owner))
    command = [shutil.which("nginx") or "/usr/sbin/nginx", "-c", str(configuration), "-g", "daemon off;"]
    with program(command, port, folder, {}) as running:
        yield running


def postgresql_programs() -> Path | None:
    """The folder with `initdb`, of the newest installed version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextlib.contextmanager
def postgresql(folder: Path, programs: Path) -> Iterator[str]:
    """A cluster of its own, on the load's core; yields `USER@HOST:PORT`. Root runs it as another user."""
    data, port = folder / "postgresql", free_port()
    data.mkdir()
    as_owner: list[str] = []
    if os.geteuid() == 0:
        owner = "postgres" if "postgres" in {entry.pw_name for entry in pwd.getpwall()} else "nobody"
        shutil.chown(data, owner)
        as_owner = ["runuser", "-u", owner, "--"]
    run = [
        *as_owner,
        str(programs / "initdb"),
        "-D",
        str(data),
        "-U",
        "bench",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C",
    ]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    with (data / "postgresql.conf").open("a") as configuration:
        configuration.write(_POSTGRESQL_CONF.format(port=port))
    log = folder / "postgresql.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "-c", LOAD_CORE, *as_owner, str(programs / "postgres"), "-D", str(data)],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _await(lambda: socket.create_connection(("127.0.0.1", port), timeout=1).close(), process, log)
        create = [str(programs / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "bench"]
        for name in ("carryout", "typical"):
            _retry([*create, name])
        yield f"bench@127.0.0.1:{port}"
    finally:
        _stop(process, signal.SIGINT)


def _retry(command: list[str]) -> None:
    for _ in range(50):
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    raise ServerFailed(f"{command[0]} does not succeed")


def _await(answer: Callable[[], object], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            answer()
            return
        time.sleep(0.05)
    raise ServerFailed(f"{process.args!r} did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _stop(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> None:
    """End the process, and after a while its whole session."""
    if process.poll() is None:
        process.send_signal(how)
        for pid in _family(process.pid)[1:2]:  # `runuser` does not hand every signal on
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _family(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *(each for child in children for each in _family(int(child)))]
    return [pid]


def _resident_mib(pid: int) -> tuple[float, float]:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    kib = {name: int(fields[name].split()[0]) for name in ("VmRSS", "RssFile")}
    return kib["VmRSS"] / 1024, (kib["VmRSS"] - kib["RssFile"]) / 1024
