"""Whole copies of an embedded database: made while it is in use, examined before one takes its place."""

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from carryout.db.sqlite_connection import BUSY_SECONDS, translated

_LOGO: Final = re.compile(r"([0-9a-f]{64})\.[a-z]+")  # as it stands in a store's settings, once it is in the storage


def copy(source: Path, target: Path) -> None:
    """Write a consistent copy, without free pages: nothing that was deleted is in it. Writers are not held up.

    Errors: `DatabaseBusy`, `DatabaseFull`.
    """
    try:
        with closing(
            sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
        ) as connection:
            connection.execute("VACUUM INTO ?", (os.fspath(target),))
    except sqlite3.Error as error:
        raise translated(error) from error


def find_damage(path: Path) -> str | None:
    """What is wrong with a copy, or None."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            words = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
            if words != "ok":
                return words
            row = connection.execute("PRAGMA foreign_key_check").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return None if row is None else f"a row of {row[0]} refers to one that is missing"


def list_blobs(path: Path) -> list[tuple[str, bytes]]:
    """The files that a copy needs, each once: the store's public id and the SHA-256 of each.

    The logos too, but not what removed assets had: it is collected.
    """
    with closing(sqlite3.connect(path)) as connection:
        blobs = connection.execute(
            "SELECT stores.uid, versions.sha256 FROM versions JOIN stores ON stores.id = versions.store_id "
            "JOIN assets ON assets.id = versions.asset_id WHERE assets.removed_at IS NULL"
        ).fetchall()
        logos = connection.execute("SELECT uid, json_extract(settings, '$.logo') FROM stores").fetchall()
    kept = [(uid, bytes.fromhex(found[1])) for uid, logo in logos if (found := _LOGO.fullmatch(logo or ""))]
    return sorted({*blobs, *kept})


def settle(path: Path) -> None:
    """Make a copy ready to take a database's place: one file, durable, that opens with a write-ahead log."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("rb") as file:
        os.fsync(file.fileno())
