"""`carryout evidence`: what was decided and downloaded of an order, and whether the record was changed since."""

import csv
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from cyclopts import CycloptsError, Parameter

from carryout.cli.output import AsJson, print_json, print_table, say
from carryout.cli.session import Session, run
from carryout.clock import iso, now
from carryout.db import Tx
from carryout.evidence import service
from carryout.evidence.model import EvidenceRow, Verified
from carryout.keyring import Keyring
from carryout.merchants import service as merchants
from carryout.merchants.model import Store
from carryout.orders import service as orders

Format = Literal["json", "csv"]
Row = dict[str, Any]

_COLUMNS: Final = ("at", "event", "filename")
_WHO: Final = ("order_id", "grant_id", "asset_id", "address_digest", "user_agent", "id")
# What a spreadsheet would take for a formula, also in its full-width form.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def evidence(
    order: Annotated[str | None, Parameter(name="ORDER", help="Its id, Shopify's id, or its number.")] = None,
    /,
    *,
    store: Annotated[str | None, Parameter(name="--store", help="The store's id or domain.")] = None,
    output: Annotated[
        Format | None, Parameter(name="--format", help="Print JSON, or CSV for a spreadsheet.", show_default=False)
    ] = None,
    verify: bool = False,
    as_json: AsJson = False,
) -> None:
    """What was decided and downloaded of an order; with --verify, whether the record is as it was written.

    Parameters
    ----------
    verify
        Check the record of the store, else of every store; exit code 1 and the first broken row when it was changed.
    """
    if verify == (order is not None):
        raise CycloptsError(msg="Name an order, or ask to --verify.")
    if verify:
        if output == "csv":
            raise CycloptsError(msg="--verify answers in words or JSON.")
        _print_verified(run(_verify, store), as_json=as_json or output == "json")
        return
    if store is None:
        raise CycloptsError(msg="Name the --store of the order.")
    if as_json and output == "csv":
        raise CycloptsError(msg="Choose one of JSON and CSV.")
    _print(run(_list, store, order), "json" if as_json else output)


# ── an order


async def _list(session: Session, store_text: str, order_text: str) -> list[Row]:
    ours = await session.find_store(store_text)
    rows = await session.database.sweep(_of_order, ours.id, order_text)
    return [_document(row, session.keyring) for row in rows]


async def _of_order(tx: Tx, store_id: int, order_text: str) -> list[EvidenceRow]:
    order = await orders.find(tx, store_id, order_text)
    return await service.list_of_order(tx, store_id, order.id)


def _document(row: EvidenceRow, keyring: Keyring) -> Row:
    return {
        "at": iso(row.created_at),
        "event": row.type,
        "detail": row.detail,
        "order_id": row.order_uid,
        "grant_id": row.grant_uid,
        "asset_id": row.asset_uid,
        "address_digest": row.address_digest.hex() if row.address_digest else None,
        "user_agent": service.open_user_agent(row, keyring),
        "id": row.uid,
        "is_chained": row.chained_at is not None,
    }


def _print(documents: list[Row], output: Format | None) -> None:
    if output == "json":
        print_json(documents)
    elif output == "csv":
        _print_csv(documents)
    else:
        rows = [document | {"detail": _words(document["detail"])} for document in documents]
        print_table(rows, ("at", "event", "detail", "user_agent"))


def _words(detail: Row) -> str:
    return ", ".join(f"{name} {value}" for name, value in detail.items())


def _print_csv(documents: Sequence[Row]) -> None:
    """RFC 4180; what each kind of event tells beside its file has a column of its own."""
    told = {name for document in documents for name in document["detail"]} - set(_COLUMNS) - set(_WHO)
    columns = [*_COLUMNS, *sorted(told), *_WHO]
    writer = csv.writer(sys.stdout)
    writer.writerow(columns)
    for document in documents:
        row = {**document["detail"], **document}
        writer.writerow([_cell(row.get(name)) for name in columns])


def _cell(value: object) -> str:
    """A value as text that no spreadsheet runs."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = "" if value is None else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


# ── the record


class _Checked(msgspec.Struct, frozen=True):
    """A store and what verifying its record came to."""

    store: Store
    verified: Verified


async def _verify(session: Session, store_text: str | None) -> list[_Checked]:
    if store_text is None:
        stores = await session.database.read(merchants.list_all)
    else:
        stores = [await session.find_store(store_text)]
    return [await _verify_one(session, store) for store in stores]


async def _verify_one(session: Session, store: Store) -> _Checked:
    """Chain what waits, then verify; a record that was changed is not gone on with, and verifying says where."""
    database, keyring = session.database, session.keyring
    try:
        while await database.write(service.chain, store.id, keyring, now()):
            pass
    except service.RecordChanged:
        pass
    return _Checked(store, await database.sweep(service.verify, store.id, keyring))


def _print_verified(checked: Sequence[_Checked], *, as_json: bool) -> None:
    if as_json:
        print_json([_verified_document(one) for one in checked])
    else:
        for one in checked:
            state = "holds" if one.verified.broken is None else "CHANGED"
            print(f"{one.store.domain}  {state}  {one.verified.events} events  {one.verified.head}".rstrip())
    for one in checked:
        if one.verified.unchained:
            say(f"{one.store.domain}: {one.verified.unchained} events are not chained yet.")
    for one in checked:
        if broken := one.verified.broken:
            raise service.RecordChanged(store=one.store.domain, where=service.where(broken), reason=broken.reason)


def _verified_document(one: _Checked) -> Row:
    broken = one.verified.broken
    return {
        "store": one.store.domain,
        "ok": broken is None,
        "events": one.verified.events,
        "unchained": one.verified.unchained,
        "head": one.verified.head or None,
        "broken": None
        if broken is None
        else {
            "row": broken.event_id,
            "id": broken.event_uid,
            "at": None if broken.created_at is None else iso(broken.created_at),
            "reason": broken.reason,
        },
    }
