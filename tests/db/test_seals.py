from sqlalchemy import bindparam, update

from carryout.db import Database, Statement, Tx
from carryout.db.seals import list_key_ids
from carryout.db.tables import stores
from carryout.keyring import Keyring
from tests.db.makers import insert_name

_SEAL = Statement(update(stores).where(stores.c.name == bindparam("wanted")).values(webhook_secret=bindparam("sealed")))


async def test_every_key_that_sealed_something_is_listed_once(database: Database) -> None:
    keyrings = [Keyring([secret]) for secret in ("an old secret of ours", "a new secret of ours")]

    async def seal(tx: Tx) -> None:
        for name, keyring in (("a", keyrings[0]), ("b", keyrings[1]), ("c", keyrings[1])):
            await insert_name(tx, name)
            await tx.run(_SEAL, wanted=name, sealed=keyring.seal(b"x", "c"))

    await database.write(seal)

    found = await database.sweep(list_key_ids)
    assert sorted(map(bytes, found)) == sorted(keyring.first.key_id for keyring in keyrings)
