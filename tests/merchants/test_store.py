from carryout.db import Database
from carryout.merchants import store
from carryout.merchants.model import NewKey, NewStore
from tests.cast import MIRA, NOW
from tests.merchants.makers import make_store

UID = "01a20e90-cc89-72b9-9043-da4e00777707"


async def test_a_taken_domain_inserts_nothing(database: Database) -> None:
    await database.write(make_store)
    new = NewStore(UID, "Impostor", MIRA.domain, "premium", b"sealed")
    assert await database.write(store.insert_store, new, NOW) is None
    assert [ours.name for ours in await database.read(store.list_all)] == [MIRA.name]


async def test_a_secret_is_kept_sealed(database: Database) -> None:
    await database.write(make_store)
    sealed = await database.read(store.find_sealed, MIRA.domain)
    assert sealed is not None
    assert MIRA.webhook_secret.encode() not in sealed.webhook_secret
    assert sealed.previous_secret is None


async def test_a_key_needs_a_store(database: Database) -> None:
    new = NewKey(UID, "Script", b"digest", "new", "read", None)
    assert await database.write(store.insert_key, 7, new, NOW) is None
