"""What of an event the chain covers, and what of a person an event may keep."""

import hashlib
import re
from typing import Final

import msgspec

from carryout.evidence.model import Chain, EventRow, Witness

GENESIS: Final = bytes(32)
_AGENT_CHARS: Final = 256
_REGION: Final = re.compile(r"(?<![\w-])[a-z]{2,3}[-_][A-Z]{2}(?![\w-])|(?<=; )[a-z]{2}-[a-z]{2}(?=[;)])")


def message(previous_mac: bytes, row: EventRow) -> bytes:
    """What the code of a chained event is made of: everything that stays for good, and the event before it."""
    return msgspec.msgpack.encode(
        (
            previous_mac,
            row.id,
            row.uid,
            row.store_id,
            row.order_id,
            row.order_uid,
            row.grant_uid,
            row.asset_uid,
            row.type,
            row.created_at,
            row.detail,
            row.person_digest,
            row.chained_at,
        )
    )


def chain_message(chain: Chain) -> bytes:
    """What the code of a chain's own row is made of: all of it."""
    return msgspec.msgpack.encode(msgspec.structs.astuple(chain))


def start(store_id: int) -> Chain:
    """The chain of a store without events."""
    return Chain(store_id, 0, GENESIS, 0, GENESIS, 0)


def person_digest(salt: bytes, witness: Witness) -> bytes:
    """What stays of a person: a digest that says nothing once its salt is gone."""
    return hashlib.sha256(msgspec.msgpack.encode((salt, witness.address_digest, witness.user_agent))).digest()


def is_person_intact(row: EventRow) -> bool:
    """Whether what an event says of a person is what was written, or was redacted: all of it, with the salt."""
    said = (row.salt, row.address_digest, row.user_agent)
    if said == (None, None, None):
        return True
    if row.salt is None or row.person_digest is None:
        return False
    return row.person_digest == person_digest(row.salt, Witness(row.address_digest, row.user_agent))


def user_agent(text: str) -> str:
    """A user agent as it is kept: printable, 256 characters at most, without the language and country some send."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(_REGION.sub("", shown).split())[:_AGENT_CHARS]
