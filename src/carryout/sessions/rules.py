"""What a session may still do, and what becomes of its uses when it ends. Pure; times are microseconds UTC.

A use is kept when its file arrived whole, when its budget is used up, and when nobody could count (a redirect, a link).
Else it is given back, and what was sent goes to the grant's account: each time that holds the file's size, a use is
spent for it. So a broken download costs nothing, and all of them together yield no copy that no use was paid for.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

import msgspec

from carryout.sessions.model import (
    SPARE_BYTES,
    Account,
    Delivery,
    Outcome,
    Part,
    Progress,
    Session,
    SessionKind,
    Settled,
    Span,
)

# A session with its parts, by position.
Delivered = tuple[Session, Sequence[Part]]

LIFE: Final = 24 * 3600 * 1_000_000
IDLE: Final = 60 * 1_000_000
# Who fetches in more pieces than any reader does has the shortest forgotten: then the use is given back and the bytes
# are charged, which nobody gains by.
MAX_SPANS: Final = 1000


def settle(part: Part, account: Account, *, is_measured: bool) -> Settled:
    """What becomes of the use that a part was paid for with, and of its grant's account."""
    if not is_given_back(part, is_measured=is_measured):
        return Settled(Outcome.KEPT, account)
    held = Account(max(account.used - 1, 0), account.limit, account.undelivered_bytes + part.sent_bytes)
    return Settled(Outcome.GIVEN_BACK, charge(held, part.size_bytes))


def charge(account: Account, size_bytes: int) -> Account:
    """Spend a use for each copy that the account holds, while any is left; the rest stays on it."""
    due = account.undelivered_bytes // size_bytes if size_bytes else 0
    left = due if account.limit is None else max(account.limit - account.used, 0)
    spent = min(due, left)
    return Account(account.used + spent, account.limit, account.undelivered_bytes - spent * size_bytes)


def foresee(account: Account, grant_id: int, over: Sequence[Delivered], idle: Sequence[Delivered]) -> Account:
    """The account once what is over was settled and then, as long as the limit is reached, one by one what is idle."""
    for session, parts in over:
        account = _settled_by(account, grant_id, session, parts)
    for session, parts in idle:
        if account.limit is None or account.used < account.limit:
            break
        account = _settled_by(account, grant_id, session, parts)
    return account


def _settled_by(account: Account, grant_id: int, session: Session, parts: Sequence[Part]) -> Account:
    for part in parts:
        if part.grant_id == grant_id:
            account = settle(part, account, is_measured=is_measured(session)).account
    return account


def is_given_back(part: Part, *, is_measured: bool) -> bool:
    """Whether the part's use comes back when its session ends now."""
    return is_measured and not is_whole(part) and remaining_bytes(part) > 0


def is_giving_back(session: Session, parts: Sequence[Part], grant_id: int) -> bool:
    """Whether ending the session now would give back a use of this grant."""
    return any(part.grant_id == grant_id and is_given_back(part, is_measured=is_measured(session)) for part in parts)


def is_measured(session: Session) -> bool:
    """Whether we count the bytes: what somebody else sends, and a link, cannot be given back."""
    return session.kind is not SessionKind.LINK and session.delivery is Delivery.SENT


def is_whole(part: Part) -> bool:
    """Whether every byte was delivered at least once; a file without bytes is delivered by its answer."""
    return part.completed_at is not None or (part.size_bytes > 0 and covered(part.delivered) >= part.size_bytes)


def budget_bytes(size_bytes: int) -> int:
    """How much a session may carry of a file."""
    return 2 * size_bytes + SPARE_BYTES


def remaining_bytes(part: Part) -> int:
    """How much of the part's budget is left."""
    return max(part.budget_bytes - part.sent_bytes, 0)


def is_used_up(parts: Sequence[Part]) -> bool:
    """Whether no part that has bytes has any of its budget left."""
    sized = [part for part in parts if part.size_bytes]
    return bool(sized) and not any(remaining_bytes(part) for part in sized)


def is_due(session: Session, parts: Sequence[Part], now: int) -> bool:
    """Whether the session is over by itself: its time, or its budget."""
    return now >= session.ends_at or is_used_up(parts)


def is_idle(session: Session, now: int) -> bool:
    """Whether a session may end before its time, because another request needs its use."""
    return now - session.active_at >= IDLE


def is_joinable(session: Session, parts: Sequence[Part], asked: Sequence[int] | None, now: int) -> bool:
    """Whether the session has time and budget for what a request asks of each part; None is all of each."""
    if session.ended_at is not None or is_due(session, parts, now):
        return False
    return not uncovered(parts, asked)


def uncovered(parts: Sequence[Part], asked: Sequence[int] | None) -> list[int]:
    """The positions of the parts whose budget does not cover what is asked of them; None is all of each."""
    wanted = [part.size_bytes for part in parts] if asked is None else asked
    return [part.position for part, size in zip(parts, wanted, strict=True) if remaining_bytes(part) < size]


def advance(part: Part, progress: Sequence[Progress], now: int) -> Part:
    """The part after what was sent of it; it is completed once every byte was delivered."""
    own = [entry for entry in progress if entry.position == part.position]
    if not own:
        return part
    delivered = part.delivered
    for start, end in [span for entry in own for span in entry.delivered]:
        delivered = add_interval(delivered, max(start, 0), min(end, part.size_bytes))
    sent_bytes = part.sent_bytes + sum(entry.sent_bytes for entry in own)
    moved = msgspec.structs.replace(part, sent_bytes=sent_bytes, delivered=_bounded(delivered))
    if part.completed_at is None and (part.size_bytes == 0 or is_whole(moved)):
        return msgspec.structs.replace(moved, completed_at=now)
    return moved


def _bounded(intervals: tuple[Span, ...]) -> tuple[Span, ...]:
    if len(intervals) <= MAX_SPANS:
        return intervals
    return tuple(sorted(sorted(intervals, key=lambda span: span[0] - span[1])[:MAX_SPANS]))


# ── intervals


def add_interval(intervals: tuple[Span, ...], start: int, end: int) -> tuple[Span, ...]:
    """The union of sorted, disjoint intervals with one more; neighbours are merged."""
    if start >= end:
        return intervals
    first = bisect_left(intervals, start, key=lambda interval: interval[1])
    last = bisect_right(intervals, end, key=lambda interval: interval[0])
    if first < last:
        start = min(start, intervals[first][0])
        end = max(end, intervals[last - 1][1])
    return (*intervals[:first], (start, end), *intervals[last:])


def covered(intervals: Sequence[Span]) -> int:
    """How many bytes lie in disjoint intervals."""
    return sum(end - start for start, end in intervals)
