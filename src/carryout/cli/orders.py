"""`carryout order …` and `carryout explain`."""

from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from carryout.cli.output import AsJson, StoreName, pairs, print_facts, print_json, print_table
from carryout.cli.session import Session, run
from carryout.clock import now, parse_iso
from carryout.db import Tx
from carryout.entitlements import service as entitlements
from carryout.entitlements.model import NO_LIMIT, CustomerView, GrantView
from carryout.errors import CarryoutError
from carryout.merchants.model import Store
from carryout.orders import service as orders
from carryout.orders.model import Order
from carryout.tickets import Links

app = App(name="order", help="One order: look at it, block it, revoke its links, change its limits.")

OrderText = Annotated[str, Parameter(name="ORDER", help="Its id, Shopify's id, or its number.")]

_COUNTS: Final = ("downloads", "addresses")
_TIMES: Final = ("expires_at", "release_at")
_WORDS: Final = {"none": NO_LIMIT, "default": None}
_MOST: Final = 1_000_000_000


class TermInvalid(CarryoutError):
    """{key} {must}."""


@app.command
def show(order: OrderText, /, *, store: StoreName, as_json: AsJson = False) -> None:
    """An order with what it grants, and whether that may be downloaded now."""
    _print(run(_show, store, order), as_json=as_json)


@app.command
def block(order: OrderText, /, *, store: StoreName, as_json: AsJson = False) -> None:
    """Let nothing of the order be downloaded, at once."""
    _print(run(_change, store, order, _block), as_json=as_json)


@app.command
def unblock(order: OrderText, /, *, store: StoreName, as_json: AsJson = False) -> None:
    """Lift the block."""
    _print(run(_change, store, order, _unblock), as_json=as_json)


@app.command
def revoke_links(order: OrderText, /, *, store: StoreName, as_json: AsJson = False) -> None:
    """End every link made so far; the buyer's page in the shop hands out new ones."""
    _print(run(_change, store, order, _revoke_links), as_json=as_json)


@app.command(name="set")
def set_(order: OrderText, /, *words: str, store: StoreName, as_json: AsJson = False) -> None:
    """Change the order's own limits: downloads, addresses, expires_at, release_at; links already sent follow at once.

    Parameters
    ----------
    words
        KEY=VALUE; the value none lifts the limit, default goes back to what the order had.
    """
    changes = {key: _term(key, value) for key, value in pairs(words)}
    _print(run(_change, store, order, _set, changes), as_json=as_json)


def explain(order: OrderText, /, *, store: StoreName, as_json: AsJson = False) -> None:
    """Every rule for everything the order grants: whether it holds, the fact it looked at, what would change it."""
    document = run(_explain, store, order)
    if as_json:
        print_json(document)
        return
    print(f"Order {document['order_number']}: {len(document['grants'])} grants")
    for grant in document["grants"]:
        print(f"\n{grant['filename']} ({grant['id']}): {grant['verdict']}")
        print_table(grant["rules"], ("code", "holds", "fact", "remedy"))


async def _show(session: Session, store_text: str, order_text: str) -> dict[str, Any]:
    store = await session.find_store(store_text)
    return _document(session, await session.database.read(_view, store, order_text))


async def _change(session: Session, store_text: str, order_text: str, change: Any, *args: Any) -> dict[str, Any]:
    store = await session.find_store(store_text)
    return _document(session, await session.database.write(_changed, store, order_text, change, args))


async def _changed(
    tx: Tx, store: Store, order_text: str, change: Any, args: tuple[Any, ...]
) -> CustomerView[GrantView]:
    order = await orders.find(tx, store.id, order_text)
    await change(tx, store.id, order, *args)
    return await entitlements.view_by_id(tx, store.id, order.id)


async def _view(tx: Tx, store: Store, order_text: str) -> CustomerView[GrantView]:
    order = await orders.find(tx, store.id, order_text)
    return await entitlements.view_by_id(tx, store.id, order.id)


async def _block(tx: Tx, store_id: int, order: Order) -> None:
    await orders.block(tx, store_id, order.id, now())


async def _unblock(tx: Tx, store_id: int, order: Order) -> None:
    await orders.unblock(tx, store_id, order.id)


async def _revoke_links(tx: Tx, store_id: int, order: Order) -> None:
    await orders.revoke_links(tx, store_id, order.id)


async def _set(tx: Tx, store_id: int, order: Order, changes: dict[str, int | None]) -> None:
    await orders.set_terms(tx, store_id, order, changes)


async def _explain(session: Session, store_text: str, order_text: str) -> dict[str, Any]:
    store = await session.find_store(store_text)
    view = await session.database.read(_view, store, order_text)
    return {
        "id": view.order.uid,
        "order_number": view.order.order_number,
        "grants": [
            {
                "id": explained.grant.uid,
                "asset_id": explained.grant.asset_uid,
                "filename": explained.grant.filename,
                "verdict": explained.verdict,
                "rules": [
                    {"code": rule.code, "holds": rule.holds, "fact": rule.fact, "remedy": rule.remedy}
                    for rule in explained.rules
                ],
            }
            for explained in entitlements.explain(view, now())
        ],
    }


def _document(session: Session, view: CustomerView[GrantView]) -> dict[str, Any]:
    order = view.order
    links = Links(session.tickets, session.base_url)
    return {
        "id": order.uid,
        "order_number": order.order_number,
        "standing": order.standing.value,
        "blocked": order.blocked_at is not None,
        "page_url": links.order(order.store_id, order.id, order.link_generation),
        "grants": [
            {
                "id": judged.grant.uid,
                "asset_id": judged.grant.asset_uid,
                "filename": judged.grant.filename,
                "used": judged.grant.used,
                "limit": judged.limit,
                "url": links.grant(order.store_id, judged.grant.id, order.link_generation, judged.grant.filename),
                "verdict": "allowed" if judged.refusal is None else judged.refusal.value,
            }
            for judged in entitlements.judge(view, now())
        ],
    }


def _term(key: str, value: str) -> int | None:
    """A term as `orders.service.set_terms` takes it. Errors: `TermInvalid`."""
    value = value.strip()
    if key not in (*_COUNTS, *_TIMES):
        raise TermInvalid(key=key, must="is not a limit of an order; they are " + ", ".join((*_COUNTS, *_TIMES)))
    if value.lower() in _WORDS:
        return _WORDS[value.lower()]
    if key in _TIMES:
        at = parse_iso(value)
        if at is None:
            raise TermInvalid(key=key, must="must be a time such as 2026-12-24T18:00:00Z, none or default")
        return at
    if not (value.isascii() and value.isdigit()) or len(value) > len(str(_MOST)) or int(value) > _MOST:
        raise TermInvalid(key=key, must=f"must be a whole number from 0 to {_MOST}, none or default")
    return int(value)


def _print(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    grants = document.pop("grants")
    print_facts(document)
    print()
    print_table(grants, ("filename", "used", "limit", "verdict", "id", "url"))
