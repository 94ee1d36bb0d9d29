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


class NewJob(msgspec.Struct, frozen=True):
    """A job to be inserted; `payload` is JSON."""

    store_id: int | None
    kind: str
    payload: str
    run_at: int
    priority: int
    dedupe_key: str | None


class Claim(msgspec.Struct, frozen=True):
    """Who runs which job, at which attempt: no two claims are equal, so a lost one is told from the next."""

    job_id: int
    owner: str
    attempt: int


class Ending(msgspec.Struct, frozen=True):
    """How and when a job ended."""

    outcome: Outcome
    error: str | None
    at: int


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
