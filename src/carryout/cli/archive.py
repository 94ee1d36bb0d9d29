"""The file that `backup` writes and `restore` reads: a tar whose members have fixed names, and a seal at its end.

Nothing is ever extracted by the name that stands in the file: a member with an unknown name is refused.
"""

import hashlib
import re
import tarfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO, Final, NoReturn

import msgspec

from carryout.errors import CarryoutError, Kind
from carryout.storage import OpenBlob

DATABASE: Final = "carryout.db"
SIGNING_KEY: Final = "secret_key"
REDACTIONS: Final = "redactions.log"
CHUNK_BYTES: Final = 1 << 20
_SEAL: Final = "backup.json"
_FORMAT: Final = 1
_FILE: Final = re.compile(r"files/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/([0-9a-f]{64})")
_SMALL: Final = (DATABASE, SIGNING_KEY, REDACTIONS)


class BackupDamaged(CarryoutError):
    """{file} cannot be restored: {reason}. Nothing was changed."""

    kind = Kind.CONFLICT


class Seal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The last member: digests of what has none in its name, and the files that were lost before the copy.

    `bucket` is the storage's address when the files stayed there.
    """

    format: int
    digests: dict[str, str]
    lost: list[str] = []
    bucket: str | None = None


class Contents(msgspec.Struct, frozen=True):
    """What a verified backup holds: the small files, the names of the stored ones, and of those lost before it.

    When the files stayed in a bucket, `bucket` is its address, and none is here.
    """

    small: dict[str, bytes]
    blobs: list[str]
    lost: list[str]
    bucket: str | None


def blob_name(store_uid: str, sha256: bytes) -> str:
    """The member that holds a store's file."""
    return f"files/{store_uid}/{sha256.hex()}"


def blob_of(name: str) -> tuple[str, bytes] | None:
    """The store and the SHA-256 that a member's name says, or None."""
    found = _FILE.fullmatch(name)
    return None if found is None else (found[1], bytes.fromhex(found[2]))


class Writer:
    """Writes the members one after the other; `finish` puts the seal on them."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digests: dict[str, str] = {}
        self._lost: list[str] = []

    def add(self, name: str, path: Path) -> None:
        """Take in a file of the installation."""
        with path.open("rb") as file:
            self._begin(name, path.stat().st_size)
            self._digests[name] = _digest(file, self._file.write)
            self._fill(path.stat().st_size)

    async def add_blob(self, name: str, blob: OpenBlob) -> bool:
        """Take in a stored file; False when it is not what its name says."""
        self._begin(name, blob.size_bytes)
        sha256 = hashlib.sha256()
        for offset in range(0, blob.size_bytes, CHUNK_BYTES):
            data = await blob.read(offset, CHUNK_BYTES)
            sha256.update(data)
            self._file.write(data)
        self._fill(blob.size_bytes)
        is_whole = sha256.hexdigest() == name.rpartition("/")[2]
        if not is_whole:
            self._lost.append(name)
        return is_whole

    def note_lost(self, name: str) -> None:
        """Remember that a stored file was missing already."""
        self._lost.append(name)

    def finish(self, bucket: str | None = None) -> None:
        """Write the seal and end the tar. `bucket` is the storage's address when the files stay there."""
        seal = msgspec.json.encode(Seal(_FORMAT, self._digests, self._lost, bucket))
        self._begin(_SEAL, len(seal))
        self._file.write(seal)
        self._fill(len(seal))
        self._file.write(bytes(2 * tarfile.BLOCKSIZE))

    # A member is written by hand, because `tarfile` knows no asynchronous reading: its head, its bytes, zeros.
    def _begin(self, name: str, size_bytes: int) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode = size_bytes, 0o600
        self._file.write(member.tobuf(tarfile.PAX_FORMAT))

    def _fill(self, size_bytes: int) -> None:
        self._file.write(bytes(-size_bytes % tarfile.BLOCKSIZE))


class Reader:
    """Reads a backup from its beginning, as often as it is asked to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def refuse(self, reason: str) -> NoReturn:
        """Say why this file is no backup. Errors: `BackupDamaged`, always."""
        raise BackupDamaged(file=self._path, reason=reason)

    def verify(self, database: Path) -> Contents:
        """Read everything once, compare all digests, write the database to `database`. Errors: `BackupDamaged`."""
        try:
            return self._verify(database)
        except (tarfile.TarError, EOFError) as error:
            self.refuse(f"it is not a whole backup ({error})")

    def blobs(self, wanted: Collection[str]) -> Iterator[tuple[str, IO[bytes]]]:
        """The wanted files, each to be read before the next is asked for. Errors: `BackupDamaged`."""
        for name, file in self._all():
            if name in wanted:
                yield name, file

    def _verify(self, database: Path) -> Contents:
        found: dict[str, str] = {}
        small: dict[str, bytes] = {}
        seal = None
        for name, file in self._all():
            if name in found or seal is not None:
                self.refuse("it holds something twice")
            if name == _SEAL:
                seal = self._seal(file)
            elif name == DATABASE:
                with database.open("wb") as copy:
                    found[name] = _digest(file, copy.write)
            elif name in _SMALL:
                small[name] = file.read()
                found[name] = hashlib.sha256(small[name]).hexdigest()
            else:
                found[name] = _digest(file, lambda _: None)
        if seal is None:
            self.refuse("it was not written to its end")
        self._compare(seal, found)
        blobs = [name for name in found if name not in _SMALL and name not in seal.lost]
        return Contents(small, blobs, seal.lost, seal.bucket)

    def _compare(self, seal: Seal, found: dict[str, str]) -> None:
        for name, digest in found.items():
            blob = blob_of(name)
            if digest != (blob[1].hex() if blob else seal.digests.get(name)) and name not in seal.lost:
                self.refuse(f"{name} in it is damaged")
        missing = [name for name in (*seal.digests, DATABASE) if name not in found]
        if missing:
            self.refuse(f"{missing[0]} is missing in it")

    def _seal(self, file: IO[bytes]) -> Seal:
        try:
            seal = msgspec.json.decode(file.read(), type=Seal)
        except msgspec.MsgspecError:
            self.refuse("its seal cannot be read")
        if seal.format > _FORMAT:
            self.refuse("it was made by a newer version of Carryout")
        return seal

    def _all(self) -> Iterator[tuple[str, IO[bytes]]]:
        with tarfile.open(self._path, "r:") as tar:
            for member in tar:
                is_known = member.name in (*_SMALL, _SEAL) or blob_of(member.name) is not None
                file = tar.extractfile(member) if is_known and member.isreg() else None
                if file is None:
                    self.refuse("it holds what no backup holds")
                yield member.name, file


def _digest(file: IO[bytes], take: Callable[[bytes], object]) -> str:
    sha256 = hashlib.sha256()
    while data := file.read(CHUNK_BYTES):
        sha256.update(data)
        take(data)
    return sha256.hexdigest()
