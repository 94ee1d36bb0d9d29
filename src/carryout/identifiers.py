"""Public ids: UUIDv7, which sort by time and tell nothing else."""

import re

import uuid_utils

_UID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")


def new_uid() -> str:
    """A new UUIDv7 as its 36 characters, lower case (RFC 9562)."""
    return str(uuid_utils.uuid7())


def is_uid(text: str) -> bool:
    """Whether the text has the form of a UUID."""
    return _UID.fullmatch(text) is not None
