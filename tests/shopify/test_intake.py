"""Nothing is lost: what an unknown error stops is parked, a retry repairs it, and redactions are on the disk first."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from carryout.db import Database
from carryout.errors import DatabaseFull
from carryout.merchants import service as merchants
from carryout.orders import service as orders
from carryout.orders.model import Person
from carryout.shopify import service
from carryout.shopify.intake import LOG_NAME, Intake, derived_id, reapply
from carryout.shopify.model import Outcome
from tests.cast import NOW
from tests.merchants.makers import KEYRING, make_store
from tests.shopify.makers import BODIES, PEOPLE, Shop, open_shop, spoil
from tests.shopify.payloads import CUSTOMER_ID, ORDER_ID, delivery, documented, order, redaction


class ClockBroken(Exception):
    """Stands for whatever nobody foresaw."""


def broken() -> int:
    raise ClockBroken


@pytest.fixture
async def shop(database: Database, data_dir: Path) -> Shop:
    return await open_shop(database, data_dir)


async def test_many_deliveries_at_once_are_each_taken_once(shop: Shop) -> None:
    sent = [shop.send("orders/paid", order(), f"delivery {number % 5}") for number in range(20)]
    outcomes = await asyncio.gather(*sent)
    assert outcomes.count(Outcome.APPLIED) == 5
    assert outcomes.count(Outcome.DUPLICATE) == 15


async def test_what_an_unknown_error_stops_is_parked_and_can_be_repaired(shop: Shop, data_dir: Path) -> None:
    failing = Intake(shop.database, KEYRING, data_dir, broken)
    assert await failing.take_in(shop.owner, delivery("customers/redact", redaction())) is Outcome.PARKED
    (row,) = await shop.rows()
    assert row.reason is not None
    assert row.reason.startswith("internal: ClockBroken in test_intake.py, line ")
    (retried,) = await shop.intake.retry_parked()
    assert retried.outcome is Outcome.APPLIED
    assert await shop.all(BODIES) == []


async def test_what_is_not_json_is_refused_and_not_kept(shop: Shop) -> None:
    with pytest.raises(service.NotJson):
        await shop.send("orders/paid", b"{")
    assert await shop.rows() == []


async def test_the_same_file_again_is_a_duplicate(shop: Shop) -> None:
    raw = documented("orders/paid")
    assert await shop.intake.ingest(shop.owner, "orders/paid", raw) is Outcome.APPLIED
    assert await shop.intake.ingest(shop.owner, "orders/paid", raw) is Outcome.DUPLICATE
    assert await shop.intake.ingest(shop.owner, "orders/updated", raw) is Outcome.APPLIED


def test_a_derived_id_tells_topic_and_body_apart() -> None:
    assert derived_id("a", b"b") == derived_id("a", b"b")
    assert len({derived_id("a", b"b"), derived_id("ab", b""), derived_id("", b"ab")}) == 3


async def test_what_an_older_version_parked_is_applied(shop: Shop) -> None:
    await shop.send("new/topic", order())
    await shop.database.write(spoil, "orders/paid")
    (retried,) = await shop.intake.retry_parked()
    assert (retried.topic, retried.outcome) == ("orders/paid", Outcome.APPLIED)
    assert len((await shop.state()).orders) == 1
    assert await shop.intake.retry_parked() == []


async def test_what_still_cannot_be_applied_stays_parked(shop: Shop) -> None:
    for number in range(3):
        await shop.send("orders/paid", {"order": number}, f"delivery {number}")
    retried = await shop.intake.retry_parked()
    assert [entry.outcome for entry in retried] == [Outcome.PARKED] * 3
    assert await shop.database.read(service.count_parked) == 3


async def test_a_redaction_is_logged_without_naming_anybody(shop: Shop, data_dir: Path) -> None:
    await shop.send("customers/redact", redaction(), "1")
    await shop.send("customers/redact", redaction(), "2")
    log = data_dir / LOG_NAME
    assert log.stat().st_mode & 0o777 == 0o600
    entries = [msgspec.json.decode(line) for line in log.read_bytes().splitlines()]
    assert [entry["topic"] for entry in entries] == ["customers/redact"] * 2
    assert entries[0]["person"]["order_ids"] == [ORDER_ID]
    assert b"example.com" not in log.read_bytes()
    assert str(CUSTOMER_ID).encode() not in log.read_bytes()


async def test_a_redaction_that_cannot_be_logged_is_not_made(shop: Shop, data_dir: Path) -> None:
    await shop.send("orders/paid", order(), "1")
    (data_dir / LOG_NAME).mkdir()
    with pytest.raises(DatabaseFull):
        await shop.send("customers/redact", redaction(), "2")
    assert [found.has_person for found in (await shop.state()).orders] == [True]
    assert len(await shop.rows()) == 1


async def test_a_restored_copy_forgets_again(shop: Shop, data_dir: Path, tmp_path: Path) -> None:
    # Mira's shop as it stands in the copy: the order is there, the redaction is only in the log.
    await shop.send("orders/paid", order(), "1")
    beside = Intake(shop.database, KEYRING, tmp_path, lambda: NOW)
    entry = delivery("customers/redact", redaction(), "2")
    await beside.take_in(shop.owner, entry)
    log = (tmp_path / LOG_NAME).read_bytes()
    await shop.send("orders/paid", order(id=ORDER_ID + 1), "3")
    (data_dir / LOG_NAME).write_bytes(log[:30] + b"\n" + log)  # with a line that a crash cut short before it
    assert await reapply(shop.database, KEYRING, data_dir, NOW, NOW) == 1
    assert [found.has_person for found in (await shop.state()).orders] == [False, False]
    assert await reapply(shop.database, KEYRING, data_dir, NOW + 1, NOW) == 0


async def test_a_restored_store_is_removed_again_and_its_successor_is_not(shop: Shop, data_dir: Path) -> None:
    await shop.send("shop/redact", {})
    successor = await shop.database.write(make_store)
    assert await reapply(shop.database, KEYRING, data_dir, 0, NOW) == 1
    assert await shop.database.read(merchants.find_by_id, successor.id) is not None


async def test_a_reader_of_the_order_learns_nothing_after_it(shop: Shop) -> None:
    await shop.send("orders/paid", order(), "1")
    await shop.send("customers/redact", redaction(), "2")
    found = await shop.database.read(orders.find, shop.owner.id, str(ORDER_ID))
    assert await shop.database.read(orders.open_person, shop.owner.id, found.id, KEYRING) == Person()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_nothing_redacted_is_left_in_the_files(shop: Shop, data_dir: Path) -> None:
    await shop.send("orders/paid", order(), "1")
    kept = [bytes(sealed)[:100] for sealed in [*await shop.all(BODIES), *await shop.all(PEOPLE)]]
    assert [sealed in written(data_dir) for sealed in kept] == [True, True]
    await shop.send("customers/redact", redaction(), "2")
    await shop.database.scrub(["orders", "inbox"])
    assert [sealed in written(data_dir) for sealed in kept] == [False, False]


def written(data_dir: Path) -> bytes:
    """Every byte of the database, its write-ahead log included."""
    return b"".join(path.read_bytes() for path in data_dir.glob("carryout.db*"))


async def test_a_delivery_that_races_the_removal_of_its_store_is_refused_as_unknown(shop: Shop) -> None:
    await shop.database.write(merchants.delete_store, shop.owner.id)
    with pytest.raises(service.SignatureWrong):
        await shop.intake.take_in(shop.owner, delivery("orders/paid", order()))
