"""Puts files behind the shop's versions: `stock.py DATABASE_URL FILES SECRET LINKS`, after `fill.py`.

The files have the right sizes and no content (they are sparse), since nobody looks at it. Into LINKS goes the path of
every grant's deciding door, in an order that no cache can follow.
"""

import os
import sys
from hashlib import blake2b
from pathlib import Path

from sqlalchemy import create_engine, select

from carryout.db.tables import assets, grants, orders, stores, versions
from carryout.keyring import Keyring
from carryout.storage.blob import object_name
from carryout.tickets import Links, Tickets


def stock(database_url: str, files: Path, secret: str, links: Path) -> None:
    """See the module."""
    make = Links(Tickets(Keyring([secret])), "")
    with create_engine(database_url).connect() as connection:
        [(store_id, store_uid)] = connection.execute(select(stores.c.id, stores.c.uid))
        for sha256, size_bytes in connection.execute(select(versions.c.sha256, versions.c.size_bytes)):
            path = files / object_name(store_uid, sha256)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            os.truncate(path, size_bytes)
        found = connection.execute(
            select(grants.c.id, orders.c.link_generation, assets.c.filename)
            .join_from(grants, assets, assets.c.id == grants.c.asset_id)
            .join(orders, orders.c.id == grants.c.order_id)
        ).all()
    found.sort(key=lambda row: blake2b(b"%d" % row[0], digest_size=8).digest())
    with links.open("w") as file:
        file.writelines(make.grant(store_id, *row) + "\n" for row in found)


if __name__ == "__main__":
    _url, _files, _secret, _links = sys.argv[1:]
    stock(_url, Path(_files), _secret, Path(_links))
