"""`carryout backup` and `carryout restore`: an embedded installation as one file, and back."""

import asyncio
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from carryout.cli import archive
from carryout.cli.archive import Writer
from carryout.cli.output import AsJson, print_json, say
from carryout.cli.session import load_settings
from carryout.db import copies, is_embedded, sqlite_path
from carryout.db.migrate import check
from carryout.errors import CarryoutError, Kind
from carryout.settings import Settings, secret_file
from carryout.storage import BlobMissing, Storage, is_local, open_storage


class NotEmbedded(CarryoutError):
    """The database is on a PostgreSQL server: copy it with pg_dump, and the files with the means of their storage."""

    kind = Kind.MISCONFIGURED


class NothingThere(CarryoutError):
    """There is no database at {path}, so there is nothing to copy."""

    kind = Kind.NOT_FOUND


def backup(
    file: Annotated[Path, Parameter(name="FILE", help="Where to write it.")], /, *, as_json: AsJson = False
) -> None:
    """Copy database, files and generated secret into one file (mode 0600), also while `serve` runs.

    Files on S3 stay in their bucket.
    """
    settings = load_settings()
    require_embedded(settings)
    path = sqlite_path(settings.database_url)
    if not path.exists():
        raise NothingThere(path=path)
    check(settings.database_url)
    with _written(file) as (target, folder):
        copy = folder / archive.DATABASE
        copies.copy(path, copy)
        document = _fill(Writer(target), copy, settings)
    document = {"file": str(file), **document}
    if as_json:
        print_json(document)
    else:
        print(_told(document))
    if document["holds_secret"]:
        say("It holds the secret key, so whoever reads it can open everything: keep it as you would keep a password.")
    if document["lost"]:
        say(f"{len(document['lost'])} files are missing or damaged in the storage and are not in it.")


def require_embedded(settings: Settings) -> None:
    """Errors: `NotEmbedded`."""
    if not is_embedded(settings.database_url):
        raise NotEmbedded


def _fill(writer: Writer, copy: Path, settings: Settings) -> dict[str, Any]:
    secret = secret_file(settings)
    writer.add(archive.DATABASE, copy)
    holds_secret = settings.secret_keys is None and secret.exists()
    if holds_secret:
        writer.add(archive.SIGNING_KEY, secret)
    redactions = settings.data_dir / archive.REDACTIONS
    if redactions.exists():
        writer.add(archive.REDACTIONS, redactions)
    bucket = None if is_local(settings.storage_url) else settings.storage_url
    names = [] if bucket else asyncio.run(_add_all(writer, settings, copies.list_blobs(copy)))
    lost = [name for name, is_whole in names if not is_whole]
    writer.finish(bucket)
    return {"files": len(names) - len(lost), "holds_secret": holds_secret, "lost": lost, "bucket": bucket}


def _told(document: dict[str, Any]) -> str:
    if bucket := document["bucket"]:
        return f"Wrote the database to {document['file']}. The files stay in {bucket}."
    return f"Wrote the database and {document['files']} files to {document['file']}."


async def _add_all(writer: Writer, settings: Settings, blobs: Sequence[tuple[str, bytes]]) -> list[tuple[str, bool]]:
    storage = open_storage(settings.storage_url, settings.aws, settings.data_dir)
    return [await _add(writer, storage, *blob) for blob in blobs]


async def _add(writer: Writer, storage: Storage, store_uid: str, sha256: bytes) -> tuple[str, bool]:
    """Files never change and are stored before they are known, so what the copy knows is there."""
    name = archive.blob_name(store_uid, sha256)
    try:
        blob = await storage.open(store_uid, sha256)
    except BlobMissing:
        writer.note_lost(name)
        return name, False
    try:
        return name, await writer.add_blob(name, blob)
    finally:
        await blob.close()


@contextmanager
def _written(path: Path) -> Iterator[tuple[Any, Path]]:
    """A file that appears under its name when it is whole and durable, and a folder for what it is made from."""
    with tempfile.TemporaryDirectory(prefix=".carryout-backup-", dir=path.absolute().parent) as folder:
        unfinished = Path(folder) / "unfinished"
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            yield file, Path(folder)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    sync_folder(path.absolute().parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in the folder durable, where the system lets us."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
