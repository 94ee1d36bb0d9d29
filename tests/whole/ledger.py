"""What the doors of downloads owe one buyer: the uses of one grant, in a few pure lines, to hold a server against."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

MIB: Final = 1024 * 1024
MINUTE: Final = 60 * 1_000_000
DAY: Final = 24 * 60 * MINUTE

Span = tuple[int, int]


class Ask(NamedTuple):
    """What a request asks for; the shares are of the file's size."""

    shape: str
    first: float
    second: float

    def of(self, size_bytes: int) -> tuple[str | None, list[Span]]:
        """The value of `Range`, and the spans of the file that it means."""
        start, last = sorted((int(self.first * size_bytes), int(self.second * size_bytes)))
        return {
            "whole": (None, [(0, size_bytes)]),
            "open": (f"bytes={start}-", [(start, size_bytes)]),
            "suffix": (f"bytes=-{size_bytes - start}", [(start, size_bytes)]),
            "closed": (f"bytes={start}-{last}", [(start, last + 1)]),
            "two": ("bytes=0-999,-1000", [(0, 1000), (size_bytes - 1000, size_bytes)]),
        }[self.shape]


@dataclass
class Download:
    """One session: what a use paid for."""

    path: str
    address: str
    size_bytes: int
    generation: int
    ends_at: int
    active_at: int
    sent_bytes: int = 0
    has_arrived: bytearray = field(default_factory=bytearray)
    is_ended: bool = False

    def __post_init__(self) -> None:
        self.has_arrived = bytearray(self.size_bytes)

    @property
    def is_whole(self) -> bool:
        """Whether every byte was sent at least once."""
        return 0 not in self.has_arrived

    @property
    def left_bytes(self) -> int:
        """What it may still carry."""
        return max(2 * self.size_bytes + MIB - self.sent_bytes, 0)


@dataclass
class Ledger:
    """One grant of one order. Times are microseconds UTC."""

    size_bytes: int
    limit: int
    address_limit: int
    used: int = 0
    owed_bytes: int = 0
    is_blocked: bool = False
    generation: int = 1
    addresses: set[str] = field(default_factory=set)
    downloads: list[Download] = field(default_factory=list)

    def refusal(self, address: str, *, is_paid: bool = False) -> str | None:
        """Why this address may not open a download."""
        if self.is_blocked:
            return "access_blocked"
        if not is_paid and self.used >= self.limit:
            return "download_limit_reached"
        is_new = address not in self.addresses
        return "ip_limit_reached" if is_new and len(self.addresses) >= self.address_limit else None

    def decide(self, address: str, asked_bytes: int, now: int) -> Download | str:
        """The download that is joined, or a new one, its path empty; or the refusal."""
        self.settle(now)
        for download in self.running:
            if download.generation != self.generation:
                self.end(download)
        own = [download for download in self.running if download.address == address]
        if own and (refusal := self.refusal(address, is_paid=True)):
            return refusal
        for download in own:
            if download.left_bytes >= asked_bytes:
                download.active_at = now
                return download
            self.end(download, is_kept=True)
        if (refusal := self.refusal(address)) == "download_limit_reached" and not self.refusal(address, is_paid=True):
            refusal = self._make_room(now)
        if refusal:
            return refusal
        self.used += 1
        self.addresses.add(address)
        opened = Download("", address, self.size_bytes, self.generation, now + DAY, now)
        self.downloads.append(opened)
        return opened

    def _make_room(self, now: int) -> str | None:
        """Idle downloads end for another, the longest idle one first, as far as that gives a use back."""
        for download in sorted(self.running, key=lambda download: download.active_at):
            if now - download.active_at >= MINUTE and not download.is_whole:
                self.end(download)
                if self.used < self.limit:
                    return None
        return "download_limit_reached"

    def resume(self, download: Download, address: str, now: int) -> str | None:
        """What the sending door says to this address; None: it sends."""
        if download.generation != self.generation:
            return "link_unknown"
        if download.is_ended or now >= download.ends_at:
            return "session_ended"
        if refusal := self.refusal(address, is_paid=True):
            return refusal
        self.addresses.add(address)
        return None

    def send(self, download: Download, spans: list[Span], now: int) -> None:
        """So much was handed to the network."""
        for start, end in spans:
            download.has_arrived[start:end] = b"\1" * (end - start)
            download.sent_bytes += end - start
        download.active_at = now
        if not download.left_bytes and not download.is_ended:
            self.end(download)

    def settle(self, now: int) -> None:
        """A day after it was opened a download is over."""
        for download in self.running:
            if now >= download.ends_at:
                self.end(download)

    def end(self, download: Download, *, is_kept: bool = False) -> None:
        """Who got the whole paid for it; else the use comes back, and what was sent is owed: a use a file's size."""
        download.is_ended = True
        if is_kept or download.is_whole or not download.left_bytes:
            return
        self.used -= 1
        self.owed_bytes += download.sent_bytes
        while self.owed_bytes >= self.size_bytes and self.used < self.limit:
            self.owed_bytes -= self.size_bytes
            self.used += 1

    @property
    def running(self) -> list[Download]:
        """The downloads that are not over, the oldest first."""
        return [download for download in self.downloads if not download.is_ended]

    @property
    def greatest_bytes(self) -> int:
        """More than this must never be delivered, whatever is tried."""
        return (self.limit + 1) * (2 * self.size_bytes + MIB)
