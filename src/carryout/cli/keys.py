"""`carryout key …`."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from carryout.cli.output import AsJson, StoreName, iso_or_none, moment, print_facts, print_json, print_table, say
from carryout.cli.session import Session, run
from carryout.clock import now
from carryout.merchants import service as merchants
from carryout.merchants.model import Dialect

app = App(name="key", help="Keys of the merchant API.")


@app.command
def create(  # the command's own options
    *,
    store: StoreName,
    name: str = "key",
    dialect: Dialect = Dialect.NEW,
    scopes: str = "read,write",
    expires_at: str | None = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown once, here, and kept as a digest only.

    Parameters
    ----------
    name
        What it is for.
    dialect
        Which generation of the Fileflare documentation replies follow.
    scopes
        read, write or both, with a comma between.
    expires_at
        ISO 8601 with an offset or a Z.
    """
    document = run(_create, store, name, dialect, scopes, None if expires_at is None else moment(expires_at))
    if as_json:
        print_json(document)
    else:
        print_facts(document)
        say("Keep the key now: it is not shown again.")


@app.command(name="list")
def list_(*, as_json: AsJson = False) -> None:
    """Every key, without the key itself."""
    rows = run(_list)
    if as_json:
        print_json(rows)
    else:
        print_table(rows, ("id", "domain", "name", "dialect", "scopes", "expires_at", "revoked_at", "created_at"))


@app.command
def revoke(key_id: Annotated[str, Parameter(name="ID", help="The key's id.")], /, *, as_json: AsJson = False) -> None:
    """End a key at once; again changes nothing."""
    document = run(_revoke, key_id)
    if as_json:
        print_json(document)
    else:
        print(f"Key {document['id']} is revoked.")


async def _create(
    session: Session, text: str, name: str, dialect: Dialect, scopes: str, expires_at: int | None
) -> dict[str, Any]:
    store = await session.find_store(text)
    made, key = await session.database.write(merchants.create_key, store.id, name, dialect, scopes, expires_at, now())
    return {
        "id": made.uid,
        "key": key,
        "store_id": store.uid,
        "name": made.name,
        "dialect": made.dialect.value,
        "scopes": made.scopes,
        "expires_at": iso_or_none(made.expires_at),
    }


async def _list(session: Session) -> list[dict[str, Any]]:
    return [
        {
            "id": key.uid,
            "store_id": key.store_uid,
            "domain": key.domain,
            "name": key.name,
            "dialect": key.dialect.value,
            "scopes": key.scopes,
            "expires_at": iso_or_none(key.expires_at),
            "revoked_at": iso_or_none(key.revoked_at),
            "last_used_at": iso_or_none(key.last_used_at),
            "created_at": iso_or_none(key.created_at),
        }
        for key in await session.database.read(merchants.list_keys)
    ]


async def _revoke(session: Session, key_id: str) -> dict[str, Any]:
    key = await session.database.write(merchants.revoke_key, key_id, now())
    return {"id": key.uid, "revoked_at": iso_or_none(key.revoked_at)}
