from carryout.db import Database
from carryout.db.seals import list_key_ids
from carryout.keyring import Keyring
from carryout.merchants import service as merchants
from tests.cast import MIRA, NOW, OTHER


async def test_each_key_in_use_is_listed_once(database: Database) -> None:
    assert await database.sweep(list_key_ids) == []
    old, new = Keyring(["the secret key before"]), Keyring(["the secret key of today", "the secret key before"])
    for merchant, keyring in ((MIRA, old), (OTHER, new)):
        await database.write(
            merchants.create, keyring, merchant.name, merchant.domain, None, "premium", ["premium"], NOW
        )
    found = await database.sweep(list_key_ids)
    assert sorted(map(bytes, found)) == sorted([old.first.key_id, new.first.key_id])
    assert all(new.knows(key_id) for key_id in found)
