"""Transfers: replies whose bytes are counted, limited and stopped while they are sent (docs/delivery.md).

- A byte counts as delivered once it left our process; at most 1 MiB of it is unsent in our kernel then.
- All transfers of a session in this process share its tally. It is recorded every few MiB and every few seconds, and
  never more than `AT_RISK_BYTES` of a session is known to this process alone: a crash loses no more.
- Twice a second the database is asked which sessions must stop. A session of which nothing was heard for
  `silence_seconds` pauses until something is.
- A client that takes nothing for `stall_seconds` is dropped.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from carryout.clock import Clock
from carryout.db import Database
from carryout.downloads.pump import RECORD_BYTES, Patience, Run, Transfer
from carryout.downloads.wire import Wire
from carryout.errors import CarryoutError, Kind
from carryout.sessions import service as sessions
from carryout.sessions.model import Opened

_LOST: Final = "what was sent could not be recorded"
_RETRY_SECONDS: Final = 1.0
_LAST_TRIES: Final = 20
_HEARING_SECONDS: Final = 5.0
# Longer than between asking the database about a session and sending from it.
_REMEMBERED_SECONDS: Final = 120.0


class Transfers:
    """The transfers of one process. `count_bytes` is told what was handed to the network."""

    def __init__(
        self,
        database: Database,
        now: Clock,
        count_bytes: Callable[[int], None],
        patience: Patience = Patience(),  # noqa: B008  # it is frozen
    ) -> None:
        self._database = database
        self._now = now
        self._count_bytes = count_bytes
        self._patience = patience
        self._runs: dict[int, Run] = {}
        self._ended: dict[int, tuple[float, tuple[int, ...]]] = {}
        self._watching: dict[Callable[[], Coroutine[None, None, None]], asyncio.Task[None]] = {}
        self._log = structlog.get_logger("carryout.downloads")

    @property
    def count(self) -> int:
        """How many run now."""
        return sum(len(run.wires) for run in self._runs.values())

    @contextmanager
    def sending(self, opened: Opened, wire: Wire, literal_bytes: int, asked_at: float) -> Iterator["Transfer"]:
        """One reply of a session that was found alive when the database was asked at `asked_at` (the loop's time)."""
        run = self._runs.get(opened.session.id)
        if run is None:
            run = self._runs[opened.session.id] = Run(opened, literal_bytes, asked_at)
            if ended := self._ended.get(run.session_id):
                run.tally.lower(ended[1])
        run.heard_at = max(run.heard_at, asked_at)
        run.wires.add(wire)
        self._watch()
        try:
            yield Transfer(run, wire, self._patience, self._record_soon, self._count_bytes)
        finally:
            run.wires.discard(wire)
            self._record_soon(run)

    async def is_used_up(self, session_id: int) -> bool:
        """Whether this process knows that a session has nothing left; then the database is waited for to know it, too.

        Whoever asks it after that is told that the session has ended, and not with half an answer.
        """
        run = self._runs.get(session_id)
        if run is None or not run.tally.is_used_up:
            return False
        self._record_soon(run)
        if run.recording is not None:
            await asyncio.wait({run.recording}, timeout=_RETRY_SECONDS)
        return True

    async def close(self) -> None:
        """Record what is left, and end."""
        for task in self._watching.values():
            task.cancel()
        recording = [run.recording for run in self._runs.values() if run.recording is not None]
        if recording:
            await asyncio.wait(recording, timeout=_LAST_TRIES * _RETRY_SECONDS)

    def _record_soon(self, run: Run) -> None:
        """Record the tally of a run, in a task that goes on when its transfers are gone."""
        if run.recording is None:
            run.recording = asyncio.get_running_loop().create_task(self._record(run))

    async def _record(self, run: Run) -> None:
        try:
            await self._record_all(run)
        finally:
            run.recording = None
            if not run.wires and self._runs.get(run.session_id) is run:
                del self._runs[run.session_id]
                self._remember(run)

    def _remember(self, run: Run) -> None:
        """Who asked the database before the run's last record, and sends after it, was told of more than is left."""
        now = asyncio.get_running_loop().time()
        self._ended.pop(run.session_id, None)  # the oldest stands first
        self._ended[run.session_id] = now, run.tally.left_bytes
        while now - self._ended[oldest := next(iter(self._ended))][0] > _REMEMBERED_SECONDS:
            del self._ended[oldest]

    async def _record_all(self, run: Run) -> None:
        failures = 0
        while run.tally.has_news and failures < _LAST_TRIES:
            run.recorded_at = asyncio.get_running_loop().time()
            taken = run.tally.take()
            try:
                found = await self._database.write(sessions.record, run.store_id, run.session_id, taken, self._now())
            except CarryoutError as error:
                run.tally.put_back(taken)
                if error.kind is not Kind.BUSY:
                    run.cut()
                    self._log.error(_LOST, session=run.session_id, reason=error.message)
                    return
                failures = 0 if run.wires else failures + 1
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            run.tally.settle(found.remaining_bytes)
            if found.is_ended:
                run.cut()
            if run.wires and run.tally.unrecorded_bytes < RECORD_BYTES:
                return
        if run.tally.has_news:
            self._log.error(_LOST, session=run.session_id)

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        for watch in (self._listen, self._look):
            task = self._watching.get(watch)
            if task is not None and task.done() and not task.cancelled() and (error := task.exception()):
                self._log.error("the watch over downloads failed, and begins anew", exc_info=error)
            if task is None or task.done():
                self._watching[watch] = loop.create_task(watch())

    async def _listen(self) -> None:
        """Ask which sessions must stop, as long as anything is sent."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._patience.poll_seconds)
            asked_at = loop.time()
            asked = dict(self._runs)
            if not asked:
                return
            try:
                async with asyncio.timeout(_HEARING_SECONDS):
                    stopped = await self._database.read(sessions.list_stopped, list(asked), self._now())
            except (CarryoutError, TimeoutError):
                continue  # silence: what is sent pauses by itself
            for run in asked.values():
                run.heard_at = asked_at
            for session_id in stopped:
                asked[session_id].cut()

    async def _look(self) -> None:
        """Drop who takes nothing, and record what was sent long enough ago."""
        loop = asyncio.get_running_loop()
        while self._runs:
            await asyncio.sleep(self._patience.poll_seconds)
            self._watch()
            now = loop.time()
            for run in tuple(self._runs.values()):
                for wire in tuple(run.wires):
                    if wire.stalled_seconds(now) >= self._patience.stall_seconds:
                        wire.cut()
                if run.tally.has_news and now - run.recorded_at >= self._patience.record_seconds:
                    self._record_soon(run)
