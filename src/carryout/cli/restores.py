"""`carryout restore`: everything is verified first; the database takes its place last, by one rename."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Annotated, Any

from cyclopts import Parameter

from carryout.cli import archive
from carryout.cli.archive import Contents, Reader
from carryout.cli.backups import require_embedded, sync_folder
from carryout.cli.output import AsJson, print_json, say
from carryout.cli.session import load_settings
from carryout.clock import now
from carryout.db import copies, open_database, sqlite_path
from carryout.db.lock import hold_lock
from carryout.db.migrate import SchemaNewer, current, newest, upgrade
from carryout.errors import CarryoutError, Kind
from carryout.keyring import Keyring
from carryout.settings import Settings, secret_file, secret_keys
from carryout.shopify.intake import reapply
from carryout.storage import BlobMissing, Storage, is_local, open_storage


class DatabaseThere(CarryoutError):
    """There is a database at {path} already. Move it away first, with its -wal and -shm files; nothing was changed."""

    kind = Kind.CONFLICT


class SecretThere(CarryoutError):
    """{path} holds another secret key than the backup. Move it away first; nothing was changed."""

    kind = Kind.CONFLICT


class FilesElsewhere(CarryoutError):
    """The files of this backup are in {bucket}. Set CARRYOUT_STORAGE_URL to it; nothing was changed."""

    kind = Kind.CONFLICT


def restore(
    file: Annotated[Path, Parameter(name="FILE", help="What `backup` wrote.")], /, *, as_json: AsJson = False
) -> None:
    """Put an installation back where there is no database. Nothing is changed unless all of it is sound."""
    settings = load_settings()
    require_embedded(settings)
    if not file.is_file():
        raise archive.BackupDamaged(file=file, reason="there is no such file")
    with hold_lock(settings.data_dir):
        document = _restore(settings, Reader(file))
    if as_json:
        print_json({"file": str(file), **document})
    else:
        print(_told(file, document))
    if document["lost"]:
        say(f"{len(document['lost'])} files were missing or damaged before the backup was made, and still are.")


def _told(file: Path, document: dict[str, Any]) -> str:
    if bucket := document["bucket"]:
        return f"Restored the database from {file}. The files are expected in {bucket}."
    return f"Restored the database and {document['files']} files from {file}."


def _restore(settings: Settings, reader: Reader) -> dict[str, Any]:
    target = sqlite_path(settings.database_url)
    for suffix in ("", "-wal", "-shm"):
        if target.with_name(target.name + suffix).exists():
            raise DatabaseThere(path=target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".carryout-restore-", dir=target.parent) as folder:
        staged = Path(folder) / archive.DATABASE
        contents = reader.verify(staged)
        if contents.bucket is not None and is_local(settings.storage_url):
            raise FilesElsewhere(bucket=contents.bucket)
        _examine(reader, staged, contents)
        _require_secret(settings, contents)
        upgrade(f"sqlite:///{staged}")
        log = _merged(contents.small.get(archive.REDACTIONS, b""), settings.data_dir / archive.REDACTIONS)
        if log:
            _write(Path(folder) / archive.REDACTIONS, log)
            asyncio.run(_redact_again(_keyring(settings, contents), staged, Path(folder)))
        copies.settle(staged)
        files = _put_in_place(settings, reader, contents, staged, target)
    bucket = None if contents.bucket is None else settings.storage_url
    return {"files": files, "lost": contents.lost, "bucket": bucket}


def _examine(reader: Reader, staged: Path, contents: Contents) -> None:
    if damage := copies.find_damage(staged):
        reader.refuse(f"its database is damaged ({damage})")
    if (found := current(f"sqlite:///{staged}")) > newest():
        raise SchemaNewer(found=found)
    if contents.bucket is not None:
        return
    known = {*contents.blobs, *contents.lost}
    for blob in copies.list_blobs(staged):
        if archive.blob_name(*blob) not in known:
            reader.refuse(f"{archive.blob_name(*blob)} is missing in it")


def _require_secret(settings: Settings, contents: Contents) -> None:
    path = secret_file(settings)
    secret = contents.small.get(archive.SIGNING_KEY)
    if secret is not None and path.exists() and path.read_bytes().strip() != secret.strip():
        raise SecretThere(path=path)


def _keyring(settings: Settings, contents: Contents) -> Keyring:
    """The keys that will be in force: the configured ones, else the backup's own, else the one that lies here."""
    copied = contents.small.get(archive.SIGNING_KEY)
    if settings.secret_keys is None and copied is not None:
        return Keyring([copied.decode().strip()])
    return Keyring(secret_keys(settings))


async def _redact_again(keyring: Keyring, staged: Path, folder: Path) -> None:
    """Who was forgotten since the backup stays forgotten; `folder` holds the log."""
    database = open_database(f"sqlite:///{staged}")
    try:
        await reapply(database, keyring, folder, 0, now())
    finally:
        await database.close()


def _put_in_place(settings: Settings, reader: Reader, contents: Contents, staged: Path, target: Path) -> int:
    """The files first, the database last: until it is there, nothing refers to them. How many files."""
    needed = {archive.blob_name(*blob) for blob in copies.list_blobs(staged)}.intersection(contents.blobs)
    asyncio.run(_store_blobs(open_storage(settings.storage_url, settings.aws, settings.data_dir), reader, needed))
    secret = contents.small.get(archive.SIGNING_KEY)
    if secret is not None and not secret_file(settings).exists():
        _write(secret_file(settings), secret)
    if (log := staged.with_name(archive.REDACTIONS)).exists():
        _write(settings.data_dir / archive.REDACTIONS, log.read_bytes())
    sync_folder(settings.data_dir)
    staged.replace(target)
    sync_folder(target.parent)
    return len(needed)


async def _store_blobs(storage: Storage, reader: Reader, needed: set[str]) -> None:
    new: list[tuple[str, bytes]] = []
    try:
        for name, file in reader.blobs(needed):
            store_uid, sha256 = archive.blob_of(name) or ("", b"")
            if not await _is_stored(storage, store_uid, sha256):
                new.append((store_uid, sha256))
            blob = await storage.put(store_uid, _chunks(file))
            if blob.sha256 != sha256:
                await storage.delete(store_uid, blob.sha256)
                reader.refuse("it changed while it was read")
    except BaseException:
        for store_uid, sha256 in new:
            await storage.delete(store_uid, sha256)
        raise


async def _is_stored(storage: Storage, store_uid: str, sha256: bytes) -> bool:
    try:
        await (await storage.open(store_uid, sha256)).close()
    except BlobMissing:
        return False
    return True


async def _chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    while data := file.read(archive.CHUNK_BYTES):
        yield data


def _merged(copied: bytes, path: Path) -> bytes:
    """The lines of both logs, each once."""
    here = path.read_bytes() if path.exists() else b""
    return b"".join(line + b"\n" for line in dict.fromkeys((*here.splitlines(), *copied.splitlines())))


def _write(path: Path, data: bytes) -> None:
    written = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    written.replace(path)
