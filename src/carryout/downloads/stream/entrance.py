"""Who comes to the doors of downloads: the ticket, the client behind it, and the count of wrong ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from carryout.entitlements.service import LinkUnknown
from carryout.evidence.service import witness
from carryout.keyring import Keyring
from carryout.sessions.model import Client
from carryout.tickets import Ticket, TicketKind, Tickets
from carryout.web.addresses import Trusted, client_network
from carryout.web.guessing import GuessLimit

_PREFETCH_HEADERS: Final = frozenset({b"sec-purpose", b"purpose", b"x-moz"})
_PREFETCH_WORDS: Final = (b"prefetch", b"prerender", b"preview")


@dataclass(frozen=True)
class Entrance:
    """Both doors' way in. Wrong tickets are counted per address."""

    tickets: Tickets
    keyring: Keyring
    guesses: GuessLimit
    trusted: Trusted

    @contextmanager
    def counting_misses(self, request: Request) -> Iterator[None]:
        """Count a `LinkUnknown` that comes out of what is done within. Errors: `TooManyGuesses`, on one too many."""
        try:
            yield
        except LinkUnknown:
            self.guesses.refuse_miss(client_network(request.scope, self.trusted))
            raise

    def ticket(self, request: Request, *kinds: TicketKind) -> tuple[TicketKind, Ticket]:
        """The request's ticket, which must be of one of these kinds. Errors: `LinkUnknown`."""
        text = request.path_params["ticket"]
        for kind in kinds:
            if (ticket := self.tickets.read(kind, text)) is not None:
                return kind, ticket
        raise LinkUnknown

    def client(self, request: Request) -> Client:
        """Who is asking."""
        addresses = tuple(self.keyring.digests("address", client_network(request.scope, self.trusted)))
        return Client(addresses, witness(self.keyring, addresses[0], request.headers.get("user-agent")))


def is_prefetch(request: Request) -> bool:
    """Whether a program asks ahead of a person who may never come."""
    said = [value.lower() for name, value in request.scope["headers"] if name in _PREFETCH_HEADERS]
    return any(word in value for value in said for word in _PREFETCH_WORDS)
