"""The cast of every test, small and named: whoever appears in a test is one of these.

Mira sells; the other merchant must see nothing of hers; Bea bought; the stranger got a link forwarded. `carryout demo`
plays the same cast. The rooms' makers (`make_store`, `make_order`, …) stand beside the tests of their room, in
`tests/ROOM/makers.py`: they take the transaction, the owner, and only what the test is about.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Merchant:
    """Who owns a store."""

    name: str
    domain: str
    webhook_secret: str


@dataclass(frozen=True)
class Visitor:
    """Who opens a link: from where, and with which address in the shop."""

    name: str
    email: str
    address: str


MIRA: Final = Merchant("Mira", "mira.myshopify.com", "a webhook secret that Mira's shop knows")
OTHER: Final = Merchant("Other", "other.myshopify.com", "a webhook secret that the other shop knows")
BEA: Final = Visitor("Bea", "bea@example.com", "127.0.0.2")
STRANGER: Final = Visitor("Stranger", "stranger@example.com", "127.0.0.3")

NOW: Final = 1_795_536_770_000_000  # 2026-11-24T16:12:50Z: when tests take place that need no other time
