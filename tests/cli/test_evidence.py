import csv
import io
from typing import Any

import pytest

from carryout.db import Database
from carryout.evidence import service
from carryout.evidence.model import Event, EventType, Subject
from carryout.merchants.model import Store
from carryout.orders.model import Order
from tests.cast import BEA, MIRA, NOW
from tests.evidence.makers import change_event, list_ids, witness
from tests.merchants.makers import KEYRING, make_store
from tests.orders.makers import make_order
from tests.world.program import Cli

STORE = ("--store", MIRA.domain)


@pytest.fixture
async def mira(database: Database) -> Store:
    return await database.write(make_store)


@pytest.fixture
async def order(database: Database, mira: Store) -> Order:
    return await database.write(make_order, mira)


async def decide(database: Database, mira: Store, order: Order, filename: str = "book.epub") -> None:
    subject = Subject(order.id, order.uid, "grant", "asset")
    await database.write(service.record_decision, mira.id, subject, filename, None, witness(), NOW)
    await database.write(service.record_decision, mira.id, subject, filename, "expired", None, NOW + 1_000_000)


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


async def test_the_evidence_of_an_order_is_printed_as_json(
    cli: Cli, database: Database, mira: Store, order: Order
) -> None:
    await decide(database, mira, order)
    allowed, refused = cli.ok("evidence", *STORE, "1050", "--json").json
    assert (allowed["at"], allowed["event"]) == ("2026-11-24T16:12:50Z", "download.allowed")
    assert allowed["user_agent"] == "Mozilla/5.0 (X11; ) Firefox/140"
    assert allowed["address_digest"] == KEYRING.digest("address", BEA.address).hex()
    assert (allowed["order_id"], allowed["grant_id"], allowed["asset_id"]) == (order.uid, "grant", "asset")
    assert refused["detail"] == {"filename": "book.epub", "code": "expired"}
    assert cli.ok("evidence", *STORE, order.uid, "--format", "json").json == [allowed, refused]
    assert "download.refused" in cli.ok("evidence", *STORE, "1050").stdout


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\uff1d1"])
async def test_no_cell_of_the_csv_is_a_formula(
    cli: Cli, database: Database, mira: Store, order: Order, name: str
) -> None:
    await decide(database, mira, order, name)
    rows = read_csv(cli.ok("evidence", *STORE, "1050", "--format", "csv").stdout)
    assert [row["filename"] for row in rows] == ["'" + name] * 2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_csv_holds_any_name(cli: Cli, database: Database, mira: Store, order: Order) -> None:
    name = 'a "quoted", \u00fcbel \u202e\U0001f600 name;'
    await decide(database, mira, order, name)
    event = Event(EventType.DOWNLOAD_COMPLETED, Subject(order.id), {"sent_bytes": 5, "is_complete": True})
    await database.write(service.record, mira.id, [event], NOW)
    allowed, refused, completed = read_csv(cli.ok("evidence", *STORE, "1050", "--format", "csv").stdout)
    assert (allowed["filename"], allowed["used"], allowed["code"]) == (name, "", "")
    assert (refused["code"], refused["user_agent"]) == ("expired", "")
    assert (completed["sent_bytes"], completed["is_complete"]) == ("5", "true")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 2),
        (["1050"], 2),
        ([*STORE], 2),
        ([*STORE, "1050", "--verify"], 2),
        ([*STORE, "1050", "--json", "--format", "csv"], 2),
        (["--verify", "--format", "csv"], 2),
        ([*STORE, "1050", "--format", "xml"], 2),
        ([*STORE, "9999"], 1),
        (["--store", "nobody.example", "1050"], 1),
        (["--store", "nobody.example", "--verify"], 1),
    ],
)
async def test_what_cannot_be_answered_is_one_plain_line(cli: Cli, order: Order, words: list[Any], code: int) -> None:
    del order
    outcome = cli("evidence", *words)
    assert (outcome.code, outcome.stdout, outcome.stderr.count("\n")) == (code, "", 1)


async def test_verifying_chains_what_waits_and_holds(cli: Cli, database: Database, mira: Store, order: Order) -> None:
    assert cli.ok("evidence", "--verify", *STORE).stdout.startswith("mira.myshopify.com  holds  0 events")
    await decide(database, mira, order)
    (found,) = cli.ok("evidence", "--verify", "--json").json
    head = found.pop("head")
    assert found == {"store": MIRA.domain, "ok": True, "events": 2, "unchained": 0, "broken": None}
    assert f"holds  2 events  {head}" in cli.ok("evidence", "--verify").stdout


async def test_a_changed_record_is_told_with_its_first_broken_row(
    cli: Cli, database: Database, mira: Store, order: Order
) -> None:
    await decide(database, mira, order)
    cli.ok("evidence", "--verify")
    event_id = (await database.read(list_ids))[0]
    await database.write(change_event, event_id, {"detail": '{"filename":"other.epub","used":1}'})
    outcome = cli("evidence", "--verify", *STORE, "--json")
    assert outcome.code == 1
    assert outcome.stderr.startswith(f"The evidence of mira.myshopify.com was changed: event {event_id} (")
    assert outcome.stderr.count("\n") == 1
    (found,) = outcome.json
    assert (found["ok"], found["broken"]["row"], found["broken"]["at"]) == (False, event_id, "2026-11-24T16:12:50Z")
