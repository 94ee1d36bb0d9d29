from collections import Counter
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from carryout.sessions import rules
from carryout.sessions.model import Account, Delivery, Outcome, Part, Progress, SessionKind, Span
from tests.cast import NOW
from tests.sessions.makers import DAY, session_of

MIB = 1024 * 1024


def part_of(size_bytes: int = 10, **changes: Any) -> Part:
    values: dict[str, Any] = {
        "session_id": 1, "position": 0, "grant_id": 1, "grant_uid": "grant", "asset_uid": "asset",
        "filename": "book.epub", "sha256": b"\1" * 32, "crc32": 1, "size_bytes": size_bytes, "modified_at": NOW,
        "budget_bytes": rules.budget_bytes(size_bytes), "sent_bytes": 0, "delivered": (), "completed_at": None,
        "outcome": None,
    }  # fmt: skip
    return Part(**(values | changes))


def sent(part: Part, *spans: Span) -> Part:
    progress = [Progress(part.position, max(end - start, 0), ((start, end),)) for start, end in spans]
    return rules.advance(part, progress, NOW)


# ── settling

sizes = st.integers(0, 40)
spans = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted).map(tuple), max_size=8)
limits = st.none() | st.integers(0, 4)
accounts = st.builds(Account, used=st.integers(0, 6), limit=limits, undelivered_bytes=st.integers(0, 100))


@given(size_bytes=sizes, delivered=spans, account=accounts, is_measured=st.booleans())
def test_settling_moves_one_use_and_its_bytes_and_loses_neither(
    size_bytes: int, delivered: list[Span], account: Account, *, is_measured: bool
) -> None:
    part = sent(part_of(size_bytes), *delivered)
    settled = rules.settle(part, account, is_measured=is_measured)
    if settled.outcome is Outcome.KEPT:
        assert settled.account == account
        return
    after = settled.account
    spent = after.used - max(account.used - 1, 0)
    assert spent >= 0
    assert after.undelivered_bytes + spent * size_bytes == account.undelivered_bytes + part.sent_bytes
    assert spent == 0 or after.limit is None or after.used <= after.limit
    # What stays on the account is less than a copy, unless there is no use left to be spent for it.
    if size_bytes and after.undelivered_bytes >= size_bytes:
        assert after.limit is not None
        assert after.used >= after.limit


def test_a_whole_file_keeps_its_use_and_a_broken_one_gives_it_back() -> None:
    account = Account(1, 3, 0)
    whole = sent(part_of(), (5, 10), (0, 5))
    assert rules.settle(whole, account, is_measured=True).outcome is Outcome.KEPT
    broken = rules.settle(sent(part_of(), (0, 9)), account, is_measured=True)
    assert (broken.outcome, broken.account) == (Outcome.GIVEN_BACK, Account(0, 3, 9))


def test_what_nobody_counts_and_a_budget_that_is_used_up_keep_the_use() -> None:
    account = Account(1, 3, 4)
    assert rules.settle(part_of(), account, is_measured=False).account == account
    used_up = part_of(10, sent_bytes=2 * 10 + MIB, delivered=((0, 9),))
    assert rules.settle(used_up, account, is_measured=True).account == account
    almost = part_of(MIB, sent_bytes=3 * MIB - 1, delivered=((0, 9),))
    assert rules.settle(almost, account, is_measured=True).outcome is Outcome.GIVEN_BACK


def test_a_file_of_zero_bytes_is_delivered_by_its_answer() -> None:
    part = part_of(0)
    assert rules.settle(part, Account(1, 1, 0), is_measured=True).account == Account(0, 1, 0)
    answered = rules.advance(part, [Progress(0, 0)], NOW)
    assert answered.completed_at == NOW
    assert rules.settle(answered, Account(1, 1, 0), is_measured=True).account == Account(1, 1, 0)


def test_a_redirect_and_a_link_are_not_measured() -> None:
    assert rules.is_measured(session_of())
    assert rules.is_measured(session_of(kind=SessionKind.ZIP))
    assert not rules.is_measured(session_of(delivery=Delivery.REDIRECT))
    assert not rules.is_measured(session_of(kind=SessionKind.LINK))


moves = st.lists(
    st.tuples(
        st.sampled_from(["open", "send", "end", "abort"]), st.integers(0, 2), st.integers(0, 4), st.integers(1, 4)
    ),
    max_size=40,
)


@given(chosen=moves, size_bytes=st.integers(1, 4), limit=st.integers(0, 2))
def test_no_pattern_of_ranges_and_aborted_downloads_yields_more_copies_than_the_limit(
    chosen: list[tuple[str, int, int, int]], size_bytes: int, limit: int
) -> None:
    """However sessions are opened, read and left, no copy comes out of them that no use was paid for.

    Inside one session a byte may come again: that is the budget. A copy needs every byte, so there are no more copies
    than sessions that gave the byte which came most rarely.
    """
    account, got = Account(0, limit, 0), Counter[int]()
    running: list[Part] = []
    for move, number, start, length in chosen:
        if move in {"open", "abort"} and account.used < limit:
            account = msgspec.structs.replace(account, used=account.used + 1)
            running.insert(0, part_of(size_bytes))
        if move in {"send", "abort"} and running:
            part = running[number % len(running)]
            running[number % len(running)] = sent(part, (start, min(start + length, size_bytes)))
            got.update(_bytes_of(running[number % len(running)]) - _bytes_of(part))
        if move in {"end", "abort"} and running:
            account = rules.settle(running.pop(number % len(running)), account, is_measured=True).account
        assert account.used <= limit
        assert min(got[byte] for byte in range(size_bytes)) <= limit


@given(st.lists(st.integers(0, 2), min_size=9, max_size=30), st.integers(1, 2))
def test_downloads_that_are_aborted_again_and_again_end_at_the_limit(pieces: list[int], limit: int) -> None:
    account, got = Account(0, limit, 0), Counter[int]()
    for piece in pieces:
        if account.used < limit:
            got[piece] += 1
            paid = msgspec.structs.replace(account, used=account.used + 1)
            account = rules.settle(sent(part_of(3), (piece, piece + 1)), paid, is_measured=True).account
    assert min(got[piece] for piece in range(3)) <= limit
    assert got.total() == 3 * limit


def _bytes_of(part: Part) -> set[int]:
    return {byte for start, end in part.delivered for byte in range(start, end)}


# ── going on


def test_a_session_is_over_with_its_day_or_its_budget() -> None:
    session, part = session_of(), part_of()
    assert not rules.is_due(session, [part], NOW + DAY - 1)
    assert rules.is_due(session, [part], NOW + DAY)
    empty, used_up = part_of(0, position=1), part_of(10, sent_bytes=20 + MIB)
    assert rules.is_due(session, [used_up, empty], NOW)
    assert not rules.is_due(session, [used_up, part_of(10, position=2)], NOW)
    assert not rules.is_due(session, [empty], NOW)


def test_a_session_is_joined_for_what_its_budget_covers() -> None:
    session = session_of()
    parts = [part_of(10 * MIB), part_of(MIB, position=1, sent_bytes=2 * MIB + 1)]
    assert rules.is_joinable(session, parts, [10 * MIB, MIB - 1], NOW)
    assert not rules.is_joinable(session, parts, None, NOW)
    assert rules.uncovered(parts, None) == [1]
    assert not rules.is_joinable(session, parts, [0, 0], NOW + DAY)
    assert not rules.is_joinable(session_of(ended_at=NOW), parts, [0, 0], NOW)


def test_a_session_is_idle_after_a_minute_without_a_byte() -> None:
    assert not rules.is_idle(session_of(), NOW + 59_999_999)
    assert rules.is_idle(session_of(), NOW + 60_000_000)


# ── intervals


@given(st.integers(1, 40), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=10))
def test_advancing_counts_every_byte_and_remembers_which(size_bytes: int, said: list[Span]) -> None:
    progress = [Progress(0, max(end - start, 0), ((start, end),)) for start, end in said]
    part = rules.advance(part_of(size_bytes), progress, NOW)
    assert part.sent_bytes == sum(entry.sent_bytes for entry in progress)
    assert _bytes_of(part) == {byte for start, end in said for byte in range(start, min(end, size_bytes))}
    assert (part.completed_at is not None) == (len(_bytes_of(part)) == size_bytes)
    assert rules.advance(part, [Progress(1, 5, ((0, 5),))], NOW) is part


def test_more_pieces_than_any_reader_takes_are_forgotten_and_charged() -> None:
    pieces = [(2 * number, 2 * number + 1) for number in range(1500)]
    part = sent(part_of(10_000), (5000, 9000), *pieces)
    assert len(part.delivered) == rules.MAX_SPANS
    assert (5000, 9000) in part.delivered
    assert part.sent_bytes == 5500


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=40))
def test_the_union_of_intervals_is_that_of_their_bytes(added: list[Span]) -> None:
    intervals: tuple[Span, ...] = ()
    model: set[int] = set()
    for start, end in added:
        intervals = rules.add_interval(intervals, start, end)
        model |= set(range(start, end))
        assert rules.covered(intervals) == len(model)
        assert {byte for interval in intervals for byte in range(*interval)} == model
        assert all(left[1] < right[0] for left, right in pairwise(intervals))
