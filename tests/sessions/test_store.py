import random
from typing import Final

import msgspec

from carryout.db import Database, Tx
from carryout.entitlements import service as entitlements
from carryout.sessions import rules, store
from carryout.sessions.model import Account, Outcome, Part, Progress, Session
from tests.cast import NOW
from tests.sessions.makers import BEA, DAY, Shop, make_shop

_CASES: Final = 300


def drawn_account(rng: random.Random) -> Account:
    limit = rng.choice([None, 0, 1, 2, 5])
    return Account(rng.randrange(7), limit, rng.choice([0, 0, 3, 25, 1000]))


def drawn_part(rng: random.Random, grant_id: int) -> Part:
    size_bytes = rng.choice([0, 1, 2, 10, 100])
    part = Part(
        session_id=1,
        position=0,
        grant_id=grant_id,
        grant_uid="grant",
        asset_uid="asset",
        filename="book.epub",
        sha256=None,
        crc32=None,
        size_bytes=size_bytes,
        modified_at=None,
        budget_bytes=rng.choice([2 * size_bytes + 1, 2 * size_bytes + 200]),
        sent_bytes=0,
        delivered=(),
        completed_at=None,
        outcome=None,
    )
    starts = [rng.randrange(size_bytes) for _ in range(rng.randrange(4)) if size_bytes]
    spans = [(start, start + rng.randrange(size_bytes)) for start in starts]
    return rules.advance(part, [Progress(0, end - start, ((start, end),)) for start, end in spans], NOW)


async def test_the_statement_that_settles_says_what_the_rule_says(database: Database) -> None:
    """Over a few hundred generated accounts and downloads; also where limits were lowered and bytes were left over."""
    rng = random.Random(17)  # noqa: S311 - rows, not secrets
    shop = await make_shop(database)
    outcomes = set()
    for _ in range(_CASES):
        account, part = drawn_account(rng), drawn_part(rng, shop.grants[0].id)
        await shop.set_grant(account.used, account.limit, account.undelivered_bytes)
        settled = rules.settle(part, account, is_measured=True)
        uses = 1 if settled.outcome is Outcome.GIVEN_BACK else 0
        outcomes.add((settled.outcome, settled.account.used - account.used))
        if uses:
            await database.write(_settle, shop, part, uses)
        assert await shop.state(part) == (settled.account.used, settled.account.undelivered_bytes)
    assert len(outcomes) > 4


async def test_the_statement_that_charges_what_came_late_says_what_the_rule_says(database: Database) -> None:
    rng = random.Random(18)  # noqa: S311 - rows, not secrets
    shop = await make_shop(database)
    for _ in range(_CASES):
        account, part = drawn_account(rng), drawn_part(rng, shop.grants[0].id)
        await shop.set_grant(account.used, account.limit, account.undelivered_bytes)
        held = msgspec.structs.replace(account, undelivered_bytes=account.undelivered_bytes + part.sent_bytes)
        charged = rules.charge(held, part.size_bytes)
        await database.write(_settle, shop, part, 0)
        assert await shop.state(part) == (charged.used, charged.undelivered_bytes)


async def _settle(tx: Tx, shop: Shop, part: Part, uses: int) -> None:
    await entitlements.settle(
        tx, shop.store.id, part.grant_id, uses=uses, sent_bytes=part.sent_bytes, size_bytes=part.size_bytes
    )


async def test_a_session_ends_once_and_its_outcome_stays(database: Database) -> None:
    shop = await make_shop(database)
    found = await shop.open()
    assert await database.write(store.end_session, shop.store.id + 1, found.session.id, NOW) is False
    assert await database.write(store.end_session, shop.store.id, found.session.id, NOW) is True
    assert await database.write(store.end_session, shop.store.id, found.session.id, NOW + 1) is False
    for outcome in (Outcome.GIVEN_BACK, Outcome.KEPT):
        await database.write(store.end_parts, shop.store.id, [(found.parts[0], outcome)])
    (part,) = await database.read(store.list_parts, shop.store.id, [found.session.id])
    assert part.outcome is Outcome.GIVEN_BACK


async def test_what_is_due_is_what_the_rule_says_by_the_clock(database: Database) -> None:
    rng = random.Random(19)  # noqa: S311 - rows, not secrets
    shop = await make_shop(database)
    opened = [await shop.open(b"%d" % number, rng.randrange(DAY)) for number in range(20)]
    now = NOW + DAY + DAY // 2
    due = await database.read(store.list_due, now, 100)
    assert len(due) == sum(rules.is_due(each.session, each.parts, now) for each in opened)
    assert 0 < len(due) < len(opened)
    assert len(await database.read(store.list_due, now, 2)) == 2


async def test_open_sessions_are_found_by_grant_and_by_order_in_their_own_store(database: Database) -> None:
    shop = await make_shop(database, 2)
    book, song = (await shop.open(number=0)).session, (await shop.open(number=1)).session
    ended = (await shop.open(b"another")).session
    await database.write(store.end_session, shop.store.id, ended.id, NOW)
    ours, order_id = shop.store.id, shop.order.id
    assert await database.write(store.list_held_of_grant, ours, shop.grants[0].id) == [book]
    assert await database.write(store.list_held_of_order, ours, order_id) == [book, song]
    assert await database.read(store.list_of_order, ours, order_id) == [book, song]
    assert await database.read(store.list_of_order, ours + 1, order_id) == []
    assert await database.write(store.list_held_of_grant, ours + 1, shop.grants[0].id) == []


async def test_the_files_of_open_sessions_are_pinned(database: Database) -> None:
    shop = await make_shop(database, 2)
    ended, running = await shop.open(number=0), await shop.open(number=1)
    await database.write(store.end_session, shop.store.id, ended.session.id, NOW)
    sha256 = running.parts[0].sha256
    assert sha256 is not None
    for first, last, found in (
        (sha256, sha256, [sha256]),
        (bytes(32), b"\xff" * 32, [sha256]),
        (bytes(32), bytes(32), []),
    ):
        assert await database.read(store.list_pinned, shop.store.id, first, last) == found
    assert await database.read(store.list_pinned, shop.store.id + 1, sha256, sha256) == []


async def test_the_id_of_a_pruned_session_is_not_given_again(database: Database) -> None:
    shop = await make_shop(database)
    session = (await shop.open()).session
    await database.write(store.end_session, shop.store.id, session.id, NOW)
    assert await database.write(store.delete_before, NOW + 1, 10) == 1
    assert (await shop.open(BEA)).session.id > session.id


async def test_a_redaction_empties_the_sessions_of_its_orders_alone(database: Database) -> None:
    shop = await make_shop(database)
    session: Session = (await shop.open()).session
    assert await database.write(store.update_forgotten, shop.store.id, [shop.order.id + 1]) == 0
    assert await database.read(store.find_session, shop.store.id, session.id) == session
