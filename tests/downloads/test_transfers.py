"""Transfers of real servers on both databases: what they count, what a crash loses, and what stops them."""

import random
import re
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from carryout.sessions.model import Part
from carryout.settings import Settings
from tests.downloads.fetching import MIB, reading
from tests.downloads.market import Market, Sold
from tests.whole.shop import eventually, send
from tests.world.postgresql import Cluster
from tests.world.program import Cli, Server

CONTENT: Final = random.Random(1).randbytes(24 * MIB)  # noqa: S311 - it need not be hard to guess
# What two kernels and a chunk of ours may hold of what nobody read: ours at most 1 MiB and what is in flight.
IN_BUFFERS: Final = 2 * MIB


@pytest.fixture
def market(settings: Settings) -> Market:
    return Market(settings)


@pytest.fixture
def film(market: Market) -> Sold:
    return market.order(market.file(CONTENT), downloads=1)


def opened(server: Server, path: str, address: str = "127.0.0.1") -> str:
    """The path of the sending door that the deciding door leads to."""
    decided = send(server, "GET", path, address=address)
    assert decided.status == 302, decided.body
    return decided.headers["location"].removeprefix(server.base_url)


def part_when(sold: Sold, is_so: Callable[[Part], bool]) -> Part:
    """The order's one open part, once something holds of it."""
    found: Part = eventually(lambda: next((part for part in sold.parts if is_so(part)), None))
    return found


on_every_storage = pytest.mark.parametrize("storage_url", ["disk", "swift"], indirect=True)

# ── counting


@on_every_storage
def test_what_arrived_is_counted_once_and_whole(film: Sold, server: Server) -> None:
    answer = send(server, "GET", opened(server, film.path))
    assert answer.body == CONTENT
    part = part_when(film, lambda part: part.completed_at is not None)
    assert (part.sent_bytes, part.delivered) == (len(CONTENT), ((0, len(CONTENT)),))
    film.settle()
    assert (film.used, film.parts) == ([1], [])


@on_every_storage
def test_parallel_ranges_are_one_use_in_whatever_process(film: Sold, start_server: Callable[..., Server]) -> None:
    server = start_server("--workers", "2")
    share = len(CONTENT) // 8

    def fetch(number: int) -> bytes:
        path = opened(server, film.path)
        asked = {"Range": f"bytes={number * share}-{(number + 1) * share - 1}"}
        return send(server, "GET", path, headers=asked).body

    with ThreadPoolExecutor(8) as pool:
        assert b"".join(pool.map(fetch, range(8))) == CONTENT
    part = part_when(film, lambda part: part.completed_at is not None)
    assert part.sent_bytes == len(CONTENT)
    assert film.used == [1]


def test_readers_by_turns_get_no_more_than_the_budget(market: Market, server: Server) -> None:
    content = CONTENT[:60_000]
    path = opened(server, market.order(market.file(content), downloads=1).path)

    def fetch(number: int) -> int:
        del number
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
            head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")
            return len(body) if head.startswith(b"HTTP/1.1 200") else 0

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(fetch, range(60))) == 2 * len(content) + MIB


@pytest.mark.parametrize("read_bytes", [100_000, MIB, 5 * MIB])
def test_an_aborted_download_gives_its_use_back_and_is_charged_for_what_it_took(
    film: Sold, server: Server, read_bytes: int
) -> None:
    with reading(server.port, opened(server, film.path)) as reader:
        reader.read(read_bytes)
    part = part_when(film, lambda part: part.sent_bytes > 0)
    assert read_bytes <= part.sent_bytes <= read_bytes + IN_BUFFERS
    assert part.delivered == ((0, part.sent_bytes),)
    film.settle()
    assert film.used == [0]


@on_every_storage
def test_a_broken_download_resumes_where_it_broke(film: Sold, server: Server) -> None:
    path = opened(server, film.path)
    with reading(server.port, path) as reader:
        begun = reader.read(3 * MIB)
        etag = re.search('etag: (".*")\r', reader.headers)
    assert etag is not None
    rest = send(server, "GET", path, headers={"Range": f"bytes={len(begun)}-", "If-Range": etag[1]})
    assert (rest.status, begun + rest.body) == (206, CONTENT)
    part_when(film, lambda part: part.completed_at is not None)
    assert film.used == [1]


def test_a_crash_loses_the_count_of_8_mib_at_most(film: Sold, start_server: Callable[..., Server]) -> None:
    server = start_server()
    with reading(server.port, opened(server, film.path), is_fast=True) as reader:
        got = len(reader.read(20 * MIB))
        server.kill()
    assert got == 20 * MIB
    start_server()
    [part] = film.parts
    assert got - 8 * MIB <= part.sent_bytes <= len(CONTENT)


@on_every_storage
def test_the_members_of_a_zip_are_counted_each_for_itself(market: Market, server: Server) -> None:
    contents = [CONTENT[: 3 * MIB], CONTENT[3 * MIB : 9 * MIB], b""]
    sold = market.order(*(market.file(content, f"{index}.bin") for index, content in enumerate(contents)), downloads=1)
    path = opened(server, sold.zip_path)
    with reading(server.port, path) as reader:
        begun = reader.read(4 * MIB)
    eventually(lambda: sum(part.sent_bytes for part in sold.parts) > 0)
    first, second, empty = sold.parts
    assert (first.sent_bytes, first.completed_at is not None) == (3 * MIB, True)
    assert MIB // 2 < second.sent_bytes <= MIB + IN_BUFFERS
    assert empty.completed_at is not None
    sold.settle()
    assert sold.used == [1, 0, 1]
    ended = send(server, "GET", path, headers={"Range": f"bytes={len(begun)}-"})
    assert (ended.status, ended.json["code"]) == (410, "session_ended")


# ── stopping


def _block(cli: Cli, sold: Sold) -> None:
    cli.ok("order", "block", "--store", sold.market.store.domain, sold.order.uid)


def _revoke(cli: Cli, sold: Sold) -> None:
    cli.ok("order", "revoke-links", "--store", sold.market.store.domain, sold.order.uid)


@pytest.mark.parametrize("stop", [_block, _revoke])
def test_two_seconds_after_a_stop_no_process_sends_another_byte(
    market: Market, start_server: Callable[..., Server], cli: Cli, stop: Callable[[Cli, Sold], None]
) -> None:
    server = start_server("--workers", "2")
    sold = market.order(market.huge_file(64 * 1024 * MIB))
    path = opened(server, sold.path)
    arrivals: dict[int, float] = {}

    def read_on(number: int) -> int:
        """Read as the network gives it, at some 5 MB a second, and note when the last byte came."""
        with reading(server.port, path, f"range: bytes={number}-\r\n") as reader:
            while len(reader.read(before := len(reader.body) + MIB)) == before:
                arrivals[number] = time.monotonic()
                reader.body = b""
                pause.wait(0.2)
            return number

    pause = threading.Event()
    with ThreadPoolExecutor(6) as pool:
        running = [pool.submit(read_on, number) for number in range(6)]
        eventually(lambda: len(arrivals) == 6)
        stop(cli, sold)
        stopped_at = time.monotonic()
        pause.set()
        assert [each.result(timeout=20) for each in running] == list(range(6))
    assert max(arrivals.values()) <= stopped_at + 2
    assert send(server, "GET", path).status in (403, 404)


def test_a_reader_who_waits_gets_nothing_after_a_stop(film: Sold, server: Server, cli: Cli) -> None:
    with reading(server.port, opened(server, film.path)) as reader:
        reader.read(MIB)
        _block(cli, film)
        stopped_at = time.monotonic()
        part_when(film, lambda part: part.sent_bytes > 0)
        assert time.monotonic() <= stopped_at + 2
        assert len(reader.read(len(CONTENT))) <= MIB + IN_BUFFERS


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_who_does_not_hear_the_database_pauses_until_it_does(
    market: Market, server: Server, cluster: Cluster, database_url: str
) -> None:
    sold = market.order(market.huge_file(1024 * 1024 * MIB))
    path = opened(server, sold.path)
    arrivals = [time.monotonic()]
    with ThreadPoolExecutor(1) as pool, reading(server.port, path, is_fast=True) as reader:

        def read_on() -> None:
            while len(reader.read(MIB)) == MIB:
                arrivals.append(time.monotonic())
                reader.body = b""

        reads = pool.submit(read_on)
        with cluster.away(database_url):
            away_at = time.monotonic()
            eventually(lambda: time.monotonic() > arrivals[-1] + 1)
            assert arrivals[-1] < away_at + 2.5
            assert not reads.done()
        silent = len(arrivals)
        eventually(lambda: len(arrivals) > silent + 10)
        server.kill()
        reads.result(timeout=20)


# ── storage and memory


def test_a_storage_that_fails_breaks_the_connection_and_costs_nothing(film: Sold, server: Server) -> None:
    digest = film.grants[0].sha256
    assert digest is not None
    path = film.market.path(digest)
    with reading(server.port, opened(server, film.path)) as reader:
        assert reader.status == 200
        reader.read(MIB)
        with path.open("r+b") as file:
            file.truncate(2 * MIB)
        got = reader.read(len(CONTENT))
    assert len(got) < len(CONTENT)
    assert "content-length: 25165824" in reader.headers
    part_when(film, lambda part: part.sent_bytes > 0)
    film.settle()
    assert film.used == [0]
    assert "a download broke off" in server.log


def _resident_bytes(server: Server) -> int:
    """Of all its processes."""
    pids = [server.process.pid]
    for pid in pids:
        pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    found = [re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()) for pid in pids]
    return sum(int(each[1]) * 1024 for each in found if each)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_neither_a_large_file_nor_many_slow_readers_take_memory(market: Market, server: Server) -> None:
    sold = market.order(market.huge_file(5 * 1024 * MIB))
    path = opened(server, sold.path)
    assert send(server, "GET", path, headers={"Range": "bytes=-5"}).body == bytes(5)
    idle = _resident_bytes(server)
    with ExitStack() as stack:
        slow = [stack.enter_context(reading(server.port, path)) for _ in range(64)]
        with reading(server.port, path, f"range: bytes={4 * 1024 * MIB - 5}-\r\n", is_fast=True) as fast:
            began = time.monotonic()
            total = 0
            while len(fast.read(MIB)) == MIB:
                total += len(fast.body)
                fast.body = b""
            assert total + len(fast.body) == 1024 * MIB + 5
            assert time.monotonic() - began < 30
        assert _resident_bytes(server) - idle < 40 * MIB
        assert {reader.status for reader in slow} == {200}
