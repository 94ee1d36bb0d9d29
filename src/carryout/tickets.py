"""Tickets: signed, stateless texts in URLs that name an order or a grant (docs/architecture.md).

A ticket is 33 bytes in 44 characters of base64url: one byte that says what it names, the store (4 bytes), the row (8
bytes), the link generation of its order (4 bytes) and a 128-bit HMAC of all that. Nothing is stored; raising an order's
link generation ends every ticket made before. 33 bytes fill 44 characters exactly, so each ticket has one spelling.
"""

import binascii
import enum
import re
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache
from typing import Final
from urllib.parse import quote

import msgspec

from carryout.filenames import safe_name
from carryout.keyring import MAC_BYTES, Keyring

_MESSAGE: Final = struct.Struct(">BIQI")
_TICKET: Final = re.compile(r"[A-Za-z0-9_-]{44}")


class TicketKind(enum.IntEnum):
    """What a ticket names."""

    ORDER = 1
    GRANT = 2
    SESSION = 3


class Ticket(msgspec.Struct, frozen=True):
    """A verified ticket: the store, the row it names, and the link generation it was made for."""

    store_id: int
    row_id: int
    generation: int


class Tickets:
    """Makes and reads tickets with the operator's keys."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def issue(self, kind: TicketKind, store_id: int, row_id: int, generation: int) -> str:
        """The ticket as the text that stands in a URL."""
        message = _MESSAGE.pack(kind, store_id, row_id, generation)
        return urlsafe_b64encode(message + self._keyring.sign(message)).decode()

    def read(self, kind: TicketKind, text: str) -> Ticket | None:
        """The ticket of this kind in the text, or None when it is forged, cut or of another kind."""
        if _TICKET.fullmatch(text) is None:
            return None
        try:
            raw = urlsafe_b64decode(text)
        except binascii.Error:
            return None
        message, signature = raw[:-MAC_BYTES], raw[-MAC_BYTES:]
        if not self._keyring.is_signed(message, signature):
            return None
        found, store_id, row_id, generation = _MESSAGE.unpack(message)
        return Ticket(store_id, row_id, generation) if found == kind else None


class Links:
    """The addresses that carry tickets; `base_url` is what links start with."""

    def __init__(self, tickets: Tickets, base_url: str) -> None:
        self._tickets = tickets
        self._grants = f"{base_url}/d/"
        self._orders = f"{base_url}/o/"
        self._sessions = f"{base_url}/f/"

    def grant(self, store_id: int, grant_id: int, generation: int, filename: str) -> str:
        """The deciding door of a grant; the name at its end is for people and for what saves the file."""
        ticket = self._tickets.issue(TicketKind.GRANT, store_id, grant_id, generation)
        return f"{self._grants}{ticket}/{path_name(filename)}"

    def everything(self, store_id: int, order_id: int, generation: int, filename: str) -> str:
        """The deciding door of all files of an order, as one ZIP."""
        ticket = self._tickets.issue(TicketKind.ORDER, store_id, order_id, generation)
        return f"{self._grants}{ticket}/{path_name(filename)}"

    def session(self, store_id: int, session_id: int, generation: int, filename: str) -> str:
        """The sending door of a session."""
        ticket = self._tickets.issue(TicketKind.SESSION, store_id, session_id, generation)
        return f"{self._sessions}{ticket}/{path_name(filename)}"

    def order(self, store_id: int, order_id: int, generation: int) -> str:
        """The buyer's page of an order."""
        return self._orders + self._tickets.issue(TicketKind.ORDER, store_id, order_id, generation)


@lru_cache(maxsize=4096)
def path_name(filename: str) -> str:
    """A file name as the last segment of a path, which is what many a program saves the file as."""
    return quote(safe_name(filename), safe="")
