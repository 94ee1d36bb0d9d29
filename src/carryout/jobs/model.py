"""A job as its function sees it, and as the operator does."""

import enum
from typing import Any

import msgspec


class Outcome(enum.Enum):
    """How a job ended."""

    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"


class Job(msgspec.Struct, frozen=True):
    """A claimed job. `attempts` counts this one; `store_id` is None when it belongs to no store."""

    id: int
    store_id: int | None
    kind: str
    payload: dict[str, Any]
    attempts: int


class JobView(msgspec.Struct, frozen=True):
    """A job as the operator sees it. Without an outcome it waits, or runs while `lease_until` lies ahead."""

    id: int
    store_id: int | None
    kind: str
    attempts: int
    run_at: int
    lease_until: int | None
    outcome: Outcome | None
    error: str | None
    finished_at: int | None
