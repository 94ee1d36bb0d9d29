"""`carryout store …`."""

from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from carryout.cli.output import AsJson, pairs, print_facts, print_json, print_table
from carryout.cli.pictures import keep_logo
from carryout.cli.session import Session, run
from carryout.clock import now
from carryout.merchants import service as merchants
from carryout.merchants.model import Store, StoreSettings

app = App(name="store", help="Stores and their settings.")

StorePosition = Annotated[str, Parameter(name="STORE", help="The store's id or domain.")]


@app.command
def create(
    name: str, /, *, domain: str, webhook_secret: str | None = None, plan: str = "premium", as_json: AsJson = False
) -> None:
    """Make a store. Without a webhook secret one is made; it is shown here, to be entered in the shop.

    Parameters
    ----------
    name
        What the store is called.
    domain
        The shop's own domain, such as SHOP.myshopify.com.
    webhook_secret
        What the shop signs its webhooks with.
    plan
        A plan of the settings.
    """
    _show(run(_create, name, domain, webhook_secret, plan), as_json=as_json)


@app.command(name="list")
def list_(*, as_json: AsJson = False) -> None:
    """Every store."""
    rows = run(_list)
    if as_json:
        print_json(rows)
    else:
        print_table(rows, ("id", "name", "domain", "plan", "uninstalled"))


@app.command
def show(store: StorePosition, /, *, as_json: AsJson = False) -> None:
    """One store, with its webhook secret and its settings."""
    _show(run(_read, store), as_json=as_json)


@app.command(name="set")
def set_(store: StorePosition, /, *words: str, apply_to_existing: bool = False, as_json: AsJson = False) -> None:
    """Change settings, and with them what new orders get.

    Parameters
    ----------
    words
        KEY=VALUE, such as download_limit=5, expires_days=none or message.expired=...
    apply_to_existing
        Also for orders that exist.
    """
    _show(run(_set, store, pairs(words), apply_to_existing=apply_to_existing), as_json=as_json)


async def _create(session: Session, name: str, domain: str, secret: str | None, plan: str) -> dict[str, Any]:
    made, secret = await session.database.write(
        merchants.create, session.keyring, name, domain, secret, plan, session.settings.plans, now()
    )
    return _document(made, secret)


async def _list(session: Session) -> list[dict[str, Any]]:
    return [_document(store, None) for store in await session.database.read(merchants.list_all)]


async def _read(session: Session, text: str) -> dict[str, Any]:
    store = await session.find_store(text)
    signed = await session.database.read(merchants.find_by_domain, session.keyring, store.domain, now())
    return _document(store, None if signed is None else signed.secrets[0].decode())


async def _set(session: Session, text: str, words: list[tuple[str, str]], *, apply_to_existing: bool) -> dict[str, Any]:
    from carryout.entitlements import service as entitlements  # noqa: PLC0415  # the other commands do without

    store = await session.find_store(text)
    kept = await keep_logo(session, store, words)
    changed = await session.database.write(
        merchants.set_values, store.id, kept, session.keyring, session.settings.left_out, now()
    )
    if apply_to_existing:
        await session.database.write(entitlements.enqueue_settings, changed, now())
        after: int | None = 0
        while after is not None:  # the job does the same, should this be cut short
            after = await session.database.write(entitlements.apply_settings, changed, after)
    return await _read(session, changed.uid)


def _document(store: Store, secret: str | None) -> dict[str, Any]:
    return {
        "id": store.uid,
        "name": store.name,
        "domain": store.domain,
        "webhook_secret": secret,
        "plan": store.plan,
        "uninstalled": store.uninstalled_at is not None,
        "settings": _settings(store.settings),
        "withheld": store.settings.withheld,
    }


def _settings(settings: StoreSettings) -> dict[str, Any]:
    """Every setting under the key that `store set` knows it by."""
    values = {
        name: getattr(settings, name) for name in settings.__struct_fields__ if name not in ("messages", "withheld")
    }
    messages = {f"message.{code}": words for code, words in settings.messages.items()}
    return {**{name: msgspec.to_builtins(value) for name, value in values.items()}, **messages}


def _show(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    settings, withheld = document.pop("settings"), document.pop("withheld")
    print_facts(
        document | ({"not in the plan": [f"{key}={value}" for key, value in withheld.items()]} if withheld else {})
    )
    print()
    print_facts(settings)
