"""Buyers at both doors of a real server, whatever they try, against a ledger of a few pure lines (`ledger.py`).

What was handed to the network is the server's to know: a kernel takes more than a program read. So a broken download
must have been counted between what was read and what buffers hold, and the ledger goes on with that count.
"""

import random
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as how
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from carryout.entitlements import service as entitlements
from carryout.orders import service as orders
from carryout.sessions import service as sessions
from carryout.sessions import store as session_store
from carryout.sessions.model import Part
from carryout.settings import Settings
from carryout.tickets import TicketKind
from tests.downloads.fetching import Reader, reading
from tests.downloads.market import TICKETS
from tests.whole.ledger import DAY, MIB, MINUTE, Ask, Download, Ledger, Span
from tests.whole.shop import Reply, eventually
from tests.whole.still_market import StillMarket
from tests.world.program import Server

SIZES: Final = (1_000_000, 5_000_000, 100_000)
CONTENT: Final = random.Random(4).randbytes(max(SIZES))  # noqa: S311 - it need not be hard to guess
BUYERS: Final = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
# What two kernels and a chunk of ours may hold of what nobody read.
IN_BUFFERS: Final = 2 * MIB
AT_RISK: Final = 8 * MIB

buyers: Final = st.sampled_from(BUYERS)
shares: Final = st.floats(0, 1, exclude_max=True)
takes: Final = st.one_of(shares, shares, st.just(1.0), st.none())
numbers: Final = st.integers(0, 5)


asks: Final = st.builds(Ask, st.sampled_from(["whole", "whole", "open", "suffix", "closed", "two"]), shares, shares)


class Buyers(RuleBasedStateMachine):
    """Buyers with one link to one file. Each rule acts on the server and on the ledger, and compares."""

    world: StillMarket

    @initialize(number=st.integers(0, 2), limit=st.sampled_from([2, 3, 1]), address_limit=st.sampled_from([3, 2, 1]))
    def sell(self, number: int, limit: int, address_limit: int) -> None:
        """An order of one file."""
        self.sold = self.world.order(self.world.assets[number], downloads=limit, addresses=address_limit)
        self.store_id = self.world.store.id
        self.grant_id = self.sold.grants[0].id
        self.ledger = Ledger(SIZES[number], limit, address_limit)
        self.content = CONTENT[: SIZES[number]]
        self.received_bytes = self.crashes = 0

    # ── what buyers do

    @rule(address=buyers, ask=asks, take=takes)
    def open(self, address: str, ask: Ask, take: float | None) -> None:
        """Ask the deciding door, and take as much as one likes of what it leads to."""
        header, spans = ask.of(self.ledger.size_bytes)
        reply = self._decide(address, header)
        found = self.ledger.decide(address, _length(spans), self.world.clock.now)
        if self._is_opened(reply, found) and isinstance(found, Download) and take is not None:
            self._fetch(found, address, header, spans, take)
        self._compare()

    @precondition(lambda self: self.ledger.downloads)
    @rule(number=numbers, address=buyers, ask=asks, take=takes.filter(bool))
    def go_on(self, number: int, address: str, ask: Ask, take: float) -> None:
        """Ask the sending door, from whatever address."""
        download = self._pick(number)
        self._fetch(download, address, *ask.of(self.ledger.size_bytes), take)
        self._compare()

    @precondition(lambda self: self.ledger.downloads)
    @rule(number=numbers, address=buyers)
    def insist(self, number: int, address: str) -> None:
        """Take the whole from the sending door again and again, beyond what the budget covers."""
        for _ in range(4):
            self._fetch(self._pick(number), address, None, [(0, self.ledger.size_bytes)], 1)
        self._compare()

    @rule(address=buyers)
    def open_in_parallel(self, address: str) -> None:
        """Ask for four quarters at once, as download programs do."""
        size_bytes = self.ledger.size_bytes
        spans = [(start, start + size_bytes // 4) for start in range(0, size_bytes, size_bytes // 4)]
        found = self.ledger.decide(address, size_bytes // 4, self.world.clock.now)
        is_enough = isinstance(found, Download) and found.left_bytes >= size_bytes

        def fetch(span: Span) -> tuple[Reply, bytes]:
            header = {"Range": f"bytes={span[0]}-{span[1] - 1}"}
            reply = self.world.request(self._door(), address, header)
            body = self.world.request(_path(reply), address, header).body if is_enough else b""
            return reply, body

        with ThreadPoolExecutor(4) as pool:
            replies, bodies = zip(*pool.map(fetch, spans), strict=True)
        for reply in replies:
            self._is_opened(reply, found)
        if is_enough and isinstance(found, Download):
            assert b"".join(bodies) == self.content
            self._note(found, spans)
        self._compare()

    @precondition(lambda self: self.ledger.downloads)
    @rule(number=numbers, address=buyers)
    def look_ahead(self, number: int, address: str) -> None:
        """What mail programs and browsers do before a person decides: nothing comes of it."""
        download = self._pick(number)
        for path in (self._door(), download.path):
            assert self.world.request(path, address, method="HEAD").status in (200, 403, 404, 410)
            ahead = self.world.request(path, address, {"Sec-Purpose": "prefetch"})
            assert ahead.status in (204, 404, 410)
        self._compare()

    # ── what happens to them

    @rule(microseconds=st.sampled_from([DAY, MINUTE, MINUTE - 1, 10 * MINUTE, DAY - MINUTE]), is_job_late=st.booleans())
    def let_time_pass(self, microseconds: int, is_job_late: bool) -> None:  # noqa: FBT001  # hypothesis names it
        """Up to and beyond a minute, and a day; and the job that ends what is over comes, or is late."""
        self.world.clock.move(microseconds)
        if not is_job_late:
            self.world.write(sessions.settle_order, self.store_id, self.sold.order.id, self.world.clock.now)
            self.ledger.settle(self.world.clock.now)
        self._compare()

    @rule(will=st.sampled_from(["revoke", "block", "unblock"]))
    def interfere(self, will: str) -> None:
        """The merchant ends every link made so far, blocks the order, or lifts the block."""
        order = self.store_id, self.sold.order.id
        if will == "revoke":
            self.ledger.generation = self.world.write(orders.revoke_links, *order)
        elif will == "block":
            self.world.write(orders.block, *order, self.world.clock.now)
        else:
            self.world.write(orders.unblock, *order)
        self.ledger.is_blocked = will == "block" or (self.ledger.is_blocked and will == "revoke")

    @precondition(lambda self: self.ledger.running and self.ledger.size_bytes > 2 * IN_BUFFERS)
    @rule(address=buyers, number=numbers)
    def block_while_it_runs(self, address: str, number: int) -> None:
        """The merchant blocks the order in the midst of a download: it ends, and by then little more was sent."""
        download = self.ledger.running[number % len(self.ledger.running)]
        if self.ledger.resume(download, address, self.world.clock.now) or download.left_bytes < self.ledger.size_bytes:
            return
        before_bytes = self.world.handed_bytes()
        with reading(self.world.server.port, download.path, address=address) as reader:
            reader.read(100_000)
            self.world.write(orders.block, self.store_id, self.sold.order.id, self.world.clock.now)
            self.ledger.is_blocked = True
            self._wait_for_end(reader)
            got = len(reader.read(self.ledger.size_bytes))
        self._adopt(download, reader, before_bytes, (0, self.ledger.size_bytes), got)
        assert got <= 100_000 + IN_BUFFERS
        self._compare()

    # ── comparing

    def _pick(self, number: int) -> Download:
        return self.ledger.downloads[number % len(self.ledger.downloads)]

    def _door(self) -> str:
        ticket = TICKETS.issue(TicketKind.GRANT, self.store_id, self.grant_id, self.ledger.generation)
        return f"/d/{ticket}/film.mkv"

    def _decide(self, address: str, header: str | None) -> Reply:
        return self.world.request(self._door(), address, {} if header is None else {"Range": header})

    def _is_opened(self, reply: Reply, found: Download | str) -> bool:
        """The door said what the ledger says."""
        if isinstance(found, str):
            assert (reply.status, reply.json["code"]) == (403, found)
            return False
        assert reply.status == 302, (reply, found)
        if found.path:
            assert _path(reply) == found.path
        else:
            found.path = _path(reply)
            assert [each.path for each in self.ledger.downloads].count(found.path) == 1
        return True

    def _fetch(self, download: Download, address: str, header: str | None, spans: list[Span], take: float) -> None:
        """Take a share of what is asked for, and break the connection; a share of 1 is all of it."""
        refusal = self.ledger.resume(download, address, self.world.clock.now)
        if refusal is not None:
            reply = self.world.request(download.path, address)
            assert (reply.status >= 400, reply.json["code"]) == (True, refusal)
            return
        if len(spans) > 1 and (take < 1 or download.left_bytes < _length(spans)):
            spans = spans[:1]
            header = f"bytes={spans[0][0]}-{spans[0][1] - 1}"
        if len(spans) > 1:
            reply = self.world.request(download.path, address, {"Range": header or ""})
            assert all(self.content[start:end] in reply.body for start, end in spans)
            self._note(download, spans)
        else:
            self._read(download, address, header, spans[0], take)

    def _read(self, download: Download, address: str, header: str | None, span: Span, take: float) -> None:
        start, end = span
        whole_bytes = min(end - start, download.left_bytes)
        line = "" if header is None else f"Range: {header}\r\n"
        before_bytes = self.world.handed_bytes()
        is_all = take == 1
        wanted_bytes = end - start if is_all else int(take * whole_bytes)
        with reading(self.world.server.port, download.path, line, address, is_fast=is_all) as reader:
            assert reader.status == (200 if header is None else 206)
            body = reader.read(wanted_bytes)
        assert body == self.content[start : start + len(body)]
        if is_all:
            assert len(body) == whole_bytes
            self._note(download, [(start, start + whole_bytes)])
        else:
            self._adopt(download, reader, before_bytes, (start, start + whole_bytes), len(body))

    def _adopt(self, download: Download, reader: Reader, before_bytes: int, span: Span, got_bytes: int) -> None:
        """A connection broke: what the server says that it sent, within what can be."""
        self._wait_for_end(reader)
        sent_bytes = self.world.handed_bytes() - before_bytes
        assert got_bytes <= sent_bytes <= min(got_bytes + IN_BUFFERS, span[1] - span[0])
        self._note(download, [(span[0], span[0] + sent_bytes)])

    def _wait_for_end(self, reader: Reader) -> None:
        """Until the server has done with an answer."""
        request_id = re.search(r"x-request-id: (\S+)", reader.headers)
        assert request_id is not None
        eventually(lambda: request_id[1] in self.world.server.log)

    def _note(self, download: Download, spans: list[Span]) -> None:
        self.received_bytes += _length(spans)
        if _length(spans):
            self.ledger.send(download, spans, self.world.clock.now)
        eventually(lambda: self._part(download).sent_bytes == download.sent_bytes)

    def _part(self, download: Download) -> Part:
        ticket = TICKETS.read(TicketKind.SESSION, download.path.split("/")[2])
        assert ticket is not None
        [part] = self.world.read(session_store.list_parts, self.store_id, [ticket.row_id])
        return part

    def _compare(self) -> None:
        view = self.world.read(entitlements.view_by_id, self.store_id, self.sold.order.id)
        assert view.grants[0].used == self.ledger.used
        assert 0 <= self.ledger.used <= self.ledger.limit
        assert self.received_bytes <= self.ledger.greatest_bytes + AT_RISK * self.crashes
        for download in self.ledger.downloads:
            part = self._part(download)
            assert (part.completed_at is not None) == download.is_whole
            assert (part.outcome is not None) == download.is_ended


class BuyersAndCrashes(Buyers):
    """The same with `kill -9` in the midst of a download."""

    @precondition(lambda self: self.ledger.running and self.crashes < 2)
    @rule(number=numbers, share=shares)
    def crash(self, number: int, share: float) -> None:
        """The server ends in the midst of a download, and starts again."""
        download = self.ledger.running[number % len(self.ledger.running)]
        if self.ledger.resume(download, download.address, self.world.clock.now):
            return
        whole_bytes = min(self.ledger.size_bytes, download.left_bytes)
        with reading(self.world.server.port, download.path, address=download.address, is_fast=True) as reader:
            got = len(reader.read(int(share * whole_bytes)))
            self.world.server.kill()
        self.world.restart()
        self.crashes += 1
        self.received_bytes += got
        known_bytes = self._part(download).sent_bytes - download.sent_bytes
        assert got - AT_RISK <= known_bytes <= whole_bytes
        if known_bytes:
            self.ledger.send(download, [(0, known_bytes)], self.world.clock.now)
        self._compare()


def _path(reply: Reply) -> str:
    return "/" + reply.headers["location"].split("/", 3)[3]


def _length(spans: list[Span]) -> int:
    return sum(end - start for start, end in spans)


@pytest.fixture
def world(settings: Settings, tmp_path: Path, start_server: Callable[..., Server]) -> Iterator[StillMarket]:
    contents = [CONTENT[:size_bytes] for size_bytes in SIZES]
    world = StillMarket(settings, tmp_path, start_server, contents)
    yield world
    world.close()


def _try(machine: type[Buyers], world: StillMarket, examples: int, steps: int) -> None:
    tried: Any = type("Tried", (machine,), {"world": world})
    run_state_machine_as_test(
        tried,
        settings=how(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            phases=set(Phase) - {Phase.explain},
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_buyer_pays_twice_and_none_gets_more_than_was_sold(world: StillMarket) -> None:
    _try(Buyers, world, examples=50, steps=20)


def test_a_crash_changes_nothing_of_that(world: StillMarket) -> None:
    _try(BuyersAndCrashes, world, examples=3, steps=12)


@pytest.mark.large
def test_no_buyer_pays_twice_whatever_is_tried_for_long(world: StillMarket) -> None:
    _try(BuyersAndCrashes, world, examples=60, steps=40)
