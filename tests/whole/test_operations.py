"""What an operator meets: starts that are refused, stops that lose nothing, a database that goes and comes back."""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from carryout.db.migrate import newest
from tests.whole.shop import Shop, deliver, eventually, order_body, send, token_of, view
from tests.world.disk import small_disk
from tests.world.postgresql import Cluster, running_cluster
from tests.world.program import Cli, Server

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.rollback()
"""
EMBEDDED = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@EMBEDDED
def test_a_second_server_on_the_folder_is_refused(
    cli: Cli, start_server: Callable[..., Server], data_dir: Path
) -> None:
    start_server("--workers", "2")

    second = cli("serve", "--port", "0", "--workers", "2")

    assert second.code == 1
    assert second.stderr.splitlines() == [
        f"The data folder {data_dir} is in use by a running `carryout serve` or one of its workers. Stop it first."
    ]


@EMBEDDED
def test_no_worker_outlives_its_parent(start_server: Callable[..., Server]) -> None:
    server = start_server("--workers", "2")
    workers = [os.pidfd_open(pid) for pid in _children(server.process.pid)]
    assert len(workers) >= 2

    server.process.send_signal(signal.SIGKILL)
    server.process.wait()

    for worker in workers:  # a process that ended can be read
        assert select.select([worker], [], [], 20)[0]
        os.close(worker)
    assert start_server("--workers", "2").stop() == 0


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_download_that_runs_is_finished_before_the_end(
    cli: Cli, start_server: Callable[..., Server], tmp_path: Path, workers: str
) -> None:
    shop = Shop(cli, content=os.urandom(1024) * 20_000).open(tmp_path)
    server = start_server("--workers", workers)
    deliver(server, "orders/paid", order_body(), "delivery 1")
    opened = send(server, "GET", urlsplit(shop.link(server)).path)
    path = urlsplit(opened.headers["location"]).path
    with closing(socket.create_connection(("127.0.0.1", server.port))) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        received = client.recv(1000)

        server.process.send_signal(signal.SIGTERM)
        _wait_until_refused(server.port)
        while chunk := client.recv(1 << 20):
            received += chunk

    assert received.partition(b"\r\n\r\n")[2] == shop.content
    assert server.process.wait(20) == 0


def _wait_until_refused(port: int) -> None:
    def is_refused() -> bool:
        try:
            with closing(socket.create_connection(("127.0.0.1", port), timeout=1)):
                return False
        except OSError:
            return True

    eventually(is_refused)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CARRYOUT_DATABASE_URL", "mysql://x/y", "must be sqlite:///PATH or postgresql://"),
        ("CARRYOUT_BASE_URL", "ftp://x", "must be the http or https address"),
        ("CARRYOUT_SECRET_KEY", "short", "must be one or more secrets of at least 16 characters"),
        ("CARRYOUT_TRUSTED_PROXIES", "10.0.0.0/99", "must be addresses or networks"),
        ("CARRYOUT_GUESS_LIMIT", "-1", "must be a whole number"),
        ("CARRYOUT_LOG_LEVEL", "loud", "must be one of"),
        ("CARRYOUT_DATA_DIR", "/proc/nowhere", ""),
        ("CARRYOUT_CONFIG", "missing.toml", "must be a file"),
    ],
)
@EMBEDDED
def test_a_wrong_setting_is_a_line_that_names_it(cli: Cli, name: str, value: str, words: str) -> None:
    settings = {name: value} if name != "CARRYOUT_DATA_DIR" else {name: value, "CARRYOUT_SECRET_KEY": ""}
    if name == "CARRYOUT_DATA_DIR":
        settings["CARRYOUT_DATABASE_URL"] = ""

    outcome = cli("serve", "--port", "0", **settings)

    assert outcome.code == 1
    assert len(outcome.stderr.splitlines()) == 1, outcome.stderr
    assert words in outcome.stderr
    if name != "CARRYOUT_DATA_DIR":
        assert name in outcome.stderr


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
@EMBEDDED
def test_a_server_database_without_our_schema_is_refused(cli: Cli, empty_url: str) -> None:
    outcome = cli("serve", "--port", "0", CARRYOUT_DATABASE_URL=empty_url)

    assert (outcome.code, outcome.stderr.splitlines()) == (
        1,
        [f"The database has schema 0, this version needs {newest()}. Run `carryout migrate` first."],
    )
    assert cli.ok("migrate", "--json", CARRYOUT_DATABASE_URL=empty_url).json["from"] == 0


def test_python_without_docstrings_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-OO", "-m", "carryout", "store", "list"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("Carryout does not run under python -OO")
    assert len(done.stderr.splitlines()) == 1


def test_the_figures_tell_of_requests_verdicts_webhooks_and_the_backlog(
    cli: Cli, start_server: Callable[..., Server], tmp_path: Path
) -> None:
    shop = Shop(cli).open(tmp_path)
    server = start_server("--workers", "2")
    deliver(server, "orders/paid", order_body(), "delivery 1")
    deliver(server, "orders/paid", order_body(), "delivery 1")
    parked = deliver(server, "orders/paid", {"id": "odd"}, "delivery 2")
    send(server, "GET", urlsplit(shop.link(server)).path)

    figures = send(server, "GET", "/metrics").body.decode()

    assert parked.json == {"status": "parked"}
    assert 'carryout_webhooks_total{outcome="applied",topic="orders/paid"} 1.0' in figures
    assert 'carryout_webhooks_total{outcome="duplicate",topic="orders/paid"} 1.0' in figures
    assert 'carryout_verdicts_total{code="allowed"} 1.0' in figures
    assert "carryout_inbox_backlog 1.0" in figures
    assert "carryout_database_seconds_total" in figures
    assert "carryout_request_seconds_bucket" in figures
    assert token_of(1) not in figures


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A cluster that a test may stop."""
    with running_cluster() as cluster:
        yield cluster


@EMBEDDED
def test_readiness_follows_the_database(
    own_cluster: Cluster, cli: Cli, start_server: Callable[..., Server], tmp_path: Path
) -> None:
    url = own_cluster.make_migrated()
    Shop(Cli({**cli.environment, "CARRYOUT_DATABASE_URL": url}, tmp_path)).open(tmp_path)
    server = start_server(CARRYOUT_DATABASE_URL=url)
    postmaster = _postmaster(urlsplit(url).port or 0)
    assert send(server, "GET", "/readyz").status == 200

    os.kill(postmaster, signal.SIGSTOP)  # its children live: what is open stalls, what is new is not taken
    children = _children(postmaster)
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    ready = send(server, "GET", "/readyz")
    alive = send(server, "GET", "/healthz")
    for pid in (postmaster, *children):
        os.kill(pid, signal.SIGCONT)

    assert (ready.status, ready.json["database"], ready.json["storage"]) == (503, "unavailable", "ok")
    assert ready.headers["retry-after"] == "5"
    assert alive.status == 200
    eventually(lambda: send(server, "GET", "/readyz").status == 200)

    for pid in _children(postmaster):  # a crash of its processes: every connection is lost
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: deliver(server, "orders/paid", order_body(), "delivery 1").status == 200)
    assert view(server, token_of(1)).status == 200
    assert "Traceback" not in server.log
    assert server.stop() == 0


def _postmaster(port: int) -> int:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if words[0].endswith(b"/postgres") and f"port={port}".encode() in words:
                return int(folder.name)
    message = f"no server on port {port}"
    raise AssertionError(message)


@EMBEDDED
def test_a_database_that_another_process_holds_is_waited_for(
    cli: Cli, start_server: Callable[..., Server], tmp_path: Path, data_dir: Path
) -> None:
    Shop(cli).open(tmp_path)
    server = start_server()
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLDER,
            data_dir / "carryout.db",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == "held\n"
    with closing(socket.create_connection(("127.0.0.1", server.port))) as _:
        assert view(server, token_of(1)).status == 404  # readers go on
    holder.stdin.write("\n")
    holder.stdin.close()

    assert deliver(server, "orders/paid", order_body(), "delivery 1").status == 200
    assert holder.wait() == 0
    holder.stdout.close()


def fill_disk(filler: Path) -> None:
    """Take all the room there is; the server may take some of it at the same time."""
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


@EMBEDDED
def test_a_full_disk_is_503_and_heals_without_a_restart(
    cli: Cli, start_server: Callable[..., Server], tmp_path: Path
) -> None:
    with small_disk(tmp_path / "small", megabytes=6) as small:
        environment = {**cli.environment, "CARRYOUT_DATA_DIR": str(small), "CARRYOUT_DATABASE_URL": ""}
        Shop(Cli(environment, tmp_path)).open(tmp_path)
        server = start_server(CARRYOUT_DATA_DIR=str(small), CARRYOUT_DATABASE_URL="")
        filler = small / "filler"
        fill_disk(filler)

        large = order_body(2, note="x" * 300_000)
        refused = deliver(server, "orders/paid", large, "delivery 2")
        assert (refused.status, refused.headers["retry-after"]) == (503, "30")
        assert view(server, token_of(2)).status == 404

        filler.unlink()
        assert deliver(server, "orders/paid", large, "delivery 2").status == 200
        assert view(server, token_of(2)).status == 200
        server.kill()
