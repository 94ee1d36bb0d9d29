"""The pump of one reply: reads, hands over, counts. Chunk by chunk, and nothing else.

Of a file that is open here the kernel takes what it has room for by itself, uncopied. When it has none, a little is
read and handed to the transport, which waits for room as it does with everything.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

import msgspec

from carryout.downloads.archive import MemberSlice
from carryout.downloads.tally import Portion, Tally
from carryout.downloads.wire import Wire
from carryout.sessions.model import Opened

AT_RISK_BYTES: Final = 8 * 1024 * 1024
# Half of it: while one half is being recorded, the other may be sent.
RECORD_BYTES: Final = AT_RISK_BYTES // 2

_LEAST_BYTES: Final = 64 * 1024
_MOST_BYTES: Final = 1024 * 1024
_PACE_BYTES: Final = 2 * 1024 * 1024
_PACE_SECONDS: Final = 0.25
_GLANCE_SECONDS: Final = 0.05
_WAIT_SECONDS: Final = 1.0

# What is worth a call of its own, and what waits with us for room when a file is sent by the kernel.
_DIRECT_BYTES: Final = 64 * 1024
_SIP_BYTES: Final = 16 * 1024


class Reader(Protocol):
    """The parts of a session, by their positions."""

    async def read(self, position: int, start: int, length: int) -> bytes:
        """The bytes from `start` on: exactly so many."""
        ...

    async def file(self, position: int, start: int) -> int | None:
        """The descriptor of the part's open file, where it is one; it is going to be sent from `start` on."""
        ...


class Patience(msgspec.Struct, frozen=True):
    """How often the database is asked, and how long what is waited for, in seconds."""

    poll_seconds: float = 0.5
    silence_seconds: float = 2.0
    record_seconds: float = 10.0
    stall_seconds: float = 60.0


class Run:
    """A session from which this process sends. `heard_at` is when it was last known to be alive, by the loop's time."""

    def __init__(self, opened: Opened, literal_bytes: int, heard_at: float) -> None:
        self.store_id = opened.session.store_id
        self.session_id = opened.session.id
        self.tally = Tally([part.budget_bytes - part.sent_bytes for part in opened.parts], literal_bytes)
        self.wires: set[Wire] = set()
        self.heard_at = heard_at
        self.recorded_at = heard_at
        self.recording: asyncio.Task[None] | None = None

    def cut(self) -> None:
        """Break all of its connections at once."""
        for wire in tuple(self.wires):
            wire.cut()


class Transfer:
    """One reply on its way. `record_soon` has the run's tally recorded; `count_bytes` is told what was handed over."""

    def __init__(
        self,
        run: Run,
        wire: Wire,
        patience: Patience,
        record_soon: Callable[[Run], None],
        count_bytes: Callable[[int], None],
    ) -> None:
        self._run = run
        self._wire = wire
        self._patience = patience
        self._record_soon = record_soon
        self._count_bytes = count_bytes
        self._pace = Pace()
        self._pieces: list[tuple[bytes, Portion | None]] = []
        self._size_bytes = 0
        self._can_pass_on = True

    def note_empty(self, positions: Sequence[int]) -> None:
        """Parts of zero bytes are delivered by the answer."""
        for position in positions:
            self._run.tally.deliver(Portion(position, 0, 0))

    async def send(self, pieces: Iterable[bytes | MemberSlice], reader: Reader) -> bool:
        """Send all of it; False when it was not: the client left or was dropped, or nothing more may be sent.

        Errors: those of `reader`; what was not handed over by then is not counted.
        """
        try:
            for piece in pieces:
                is_going = await (self._add(piece) if isinstance(piece, bytes) else self._add_slice(piece, reader))
                if not is_going:
                    return False
            return await self._hand()
        finally:
            self._account(0)

    async def _add(self, data: bytes) -> bool:
        if not self._run.tally.spend_literal(len(data)):
            return False
        return await self._collect(data, None)

    async def _add_slice(self, piece: MemberSlice, reader: Reader) -> bool:
        start = piece.start
        while start < piece.end:
            rest = MemberSlice(piece.member, start, piece.end)
            file = None
            if self._can_pass_on and piece.end - start >= _DIRECT_BYTES:
                file = await reader.file(piece.member, start)
            if file is None:
                went_bytes = await self._read(rest, reader, self._pace.chunk_bytes - self._size_bytes)
            else:
                went_bytes = await self._pass_on(rest, file, reader)
            if not went_bytes:
                return False
            start += went_bytes
        return True

    async def _read(self, rest: MemberSlice, reader: Reader, most_bytes: int) -> int:
        """Read and collect the next bytes; how many, 0 when it must not go on."""
        portion = self._run.tally.reserve(rest.member, rest.start, min(rest.end - rest.start, most_bytes))
        if not portion.size_bytes:
            await self._hand()  # to the last byte that it may have
            return 0
        try:
            data = await reader.read(rest.member, rest.start, portion.size_bytes)
        except BaseException:
            self._run.tally.release(portion)
            raise
        return portion.size_bytes if await self._collect(data, portion) else 0

    async def _pass_on(self, rest: MemberSlice, file: int, reader: Reader) -> int:
        """Have the kernel take the next bytes; how many it took, or waited for; 0 when it must not go on."""
        wanted_bytes = min(rest.end - rest.start, _MOST_BYTES)
        if self._pieces and not await self._hand():
            return 0
        if not await self._is_free_to_go(wanted_bytes):
            return 0
        portion = self._run.tally.reserve(rest.member, rest.start, wanted_bytes)
        if not portion.size_bytes:
            return 0
        taken_bytes: int | None = 0
        try:
            taken_bytes = await self._wire.hand_file(file, portion.start, portion.size_bytes)
        finally:
            self._settle(portion, taken_bytes or 0)
        self._can_pass_on = taken_bytes is not None
        if not taken_bytes:
            read_bytes = await self._read(rest, reader, _SIP_BYTES)
            return read_bytes if await self._hand() else 0
        await asyncio.sleep(0)  # others want to be answered, however fast this reader is
        return taken_bytes

    async def _collect(self, data: bytes, portion: Portion | None) -> bool:
        self._pieces.append((data, portion))
        self._size_bytes += len(data)
        return self._size_bytes < self._pace.chunk_bytes or await self._hand()

    async def _hand(self) -> bool:
        """Hand over what was collected; False when not all of it could be."""
        if not self._pieces:
            return True
        if not await self._is_free_to_go(self._size_bytes):
            return False
        wanted_bytes = self._size_bytes
        data = self._pieces[0][0] if len(self._pieces) == 1 else b"".join(piece for piece, _ in self._pieces)
        loop = asyncio.get_running_loop()
        began = loop.time()
        left_bytes = await self._wire.hand(data)
        self._pace.note(left_bytes, loop.time() - began)
        self._account(left_bytes)
        await asyncio.sleep(0)  # others want to be answered, however fast this reader is
        return left_bytes == wanted_bytes

    def _account(self, left_bytes: int) -> None:
        """So many of the collected bytes left us, the first ones; the rest never did."""
        for data, portion in self._pieces:
            here = min(left_bytes, len(data))
            left_bytes -= here
            if portion is not None:
                self._settle(portion, here)
            else:
                self._count_bytes(here)
        self._pieces.clear()
        self._size_bytes = 0

    def _settle(self, portion: Portion, left_bytes: int) -> None:
        """So many bytes of a portion left us, the first ones; the rest never did."""
        tally = self._run.tally
        gone = Portion(portion.position, portion.start, portion.start + left_bytes)
        rest = Portion(portion.position, gone.end, portion.end)
        if left_bytes:
            self._count_bytes(left_bytes)
            tally.deliver(gone)
        if rest.size_bytes:
            tally.release(rest)
        if tally.unrecorded_bytes >= RECORD_BYTES:
            self._record_soon(self._run)

    async def _is_free_to_go(self, size_bytes: int) -> bool:
        """Wait until the database was heard lately and knows enough of what was sent; False when it is not to be."""
        run = self._run
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not self._wire.is_broken:
            is_heard = loop.time() - run.heard_at <= self._patience.silence_seconds
            if is_heard and run.tally.at_risk_bytes + size_bytes <= AT_RISK_BYTES:
                return True
            if is_heard and loop.time() - began > self._patience.stall_seconds:
                return False
            if is_heard and run.recording is not None:
                await asyncio.wait({run.recording}, timeout=_WAIT_SECONDS)
            else:
                await asyncio.sleep(_GLANCE_SECONDS)
        return False


class Pace:
    """How much a reader is handed at once: twice as much after each 2 MiB that it hardly let us wait for, else half.

    The first MiB or so goes into buffers at once, whoever reads: only what comes after it says how fast that is.
    """

    def __init__(self) -> None:
        self.chunk_bytes = _LEAST_BYTES
        self._bytes = 0
        self._seconds = 0.0

    def note(self, handed_bytes: int, waited_seconds: float) -> None:
        """A chunk left us after so long."""
        self._bytes += handed_bytes
        self._seconds += waited_seconds
        if self._bytes >= _PACE_BYTES:
            is_fast = self._seconds < _PACE_SECONDS
            self.chunk_bytes = min(self.chunk_bytes * 2, _MOST_BYTES) if is_fast else _LEAST_BYTES
            self._bytes, self._seconds = 0, 0.0
