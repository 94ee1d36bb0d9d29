"""What an error is in this house: a class whose docstring is the sentence that a person reads.

Raising rolls the transaction back. `{facts}` in the docstring are filled by name from the constructor, and stay
readable on `error.facts`. `web/problems.py` turns a `Kind` into an HTTP status; the command line turns any of them into
one line on stderr and exit code 1.
"""

import enum
import inspect
import re
from typing import ClassVar


class Kind(enum.Enum):
    """What went wrong, in the terms of whoever asked; one HTTP status each (`web/problems.py`)."""

    INVALID = "invalid"
    MALFORMED = "malformed"
    UNAUTHENTICATED = "unauthenticated"
    PLAN = "plan"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not found"
    CONFLICT = "conflict"
    GONE = "gone"
    TOO_LARGE = "too large"
    TOO_MANY = "too many"
    BUSY = "busy"
    MISCONFIGURED = "misconfigured"


class CarryoutError(Exception):
    """Something went wrong."""

    kind: ClassVar[Kind] = Kind.INVALID
    retry_after_seconds: ClassVar[int | None] = None
    field: ClassVar[str] = "request"  # which field of a merchant's request it is about, for the `errors` of a 422

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(self.message)

    @property
    def code(self) -> str:
        """The class name in snake case: what programs compare."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()

    @property
    def message(self) -> str:
        """The docstring's sentence with the facts filled in."""
        return inspect.cleandoc(type(self).__doc__ or type(self).__name__).format_map(self.facts)


class DatabaseBusy(CarryoutError):
    """The database is busy. Nothing was changed; please try again in a moment."""

    kind = Kind.BUSY
    retry_after_seconds = 5


class DatabaseFull(CarryoutError):
    """The disk is full or the database cannot be written. Nothing was changed; please try again later."""

    kind = Kind.BUSY
    retry_after_seconds = 30


class DatabaseUnavailable(CarryoutError):
    """The database does not answer. Please try again in a moment."""

    kind = Kind.BUSY
    retry_after_seconds = 5
