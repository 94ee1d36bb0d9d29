"""Where deliveries come in, from the webhook door and from files: nothing that is valid JSON is ever lost or refused.

A redaction is noted in `{data_dir}/redactions.log`, on the disk, before it is made: a copy of the database that was
taken before it can then be brought up to date (`reapply`). The log names nobody: it holds keyed digests.
"""

import asyncio
import hashlib
import os
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from carryout.clock import Clock
from carryout.db import Database, Tx
from carryout.errors import CarryoutError, DatabaseFull, Kind
from carryout.keyring import Keyring, SealBroken
from carryout.merchants import service as merchants
from carryout.merchants.model import Store
from carryout.shopify import service
from carryout.shopify.model import (
    DataRequested,
    Delivery,
    LoggedRedaction,
    Outcome,
    Parked,
    Redaction,
    Retried,
    ShopRedacted,
    Subject,
    Translation,
)
from carryout.shopify.translate import NotJson, translate

LOG_NAME: Final = "redactions.log"
_BATCH: Final = 100
_log: Final[Any] = structlog.get_logger("carryout.shopify")


@dataclass(frozen=True)
class Intake:
    """Takes deliveries in. `data_dir` is where the log of redactions is."""

    database: Database
    keyring: Keyring
    data_dir: Path
    now: Clock

    async def take_in(self, owner: Store, delivery: Delivery) -> Outcome:
        """Keep a delivery and apply it; when this returns, it is durable. Errors: `service.NotJson`, a busy database.

        One that cannot be applied, for whatever reason, is kept as parked.
        """
        sealed = self.keyring.seal(delivery.raw, service.SEAL)
        said = Translation(None)
        try:
            said = self._translate(owner, delivery)
            await self._note(owner, delivery, said)
            outcome = await self.database.write(service.receive, owner, delivery, said, sealed, self.keyring)
        except Exception as error:  # noqa: BLE001 - whatever it is, the delivery is kept
            said = _unapplied(error, said.subject)
            _log.error("delivery_failed", delivery_id=delivery.delivery_id, reason=said.surprises[0])
            return await self.database.write(service.park, owner, delivery, said, sealed, self.keyring)
        if isinstance(said.facts, DataRequested):
            _log.info("data_requested", store=owner.domain, delivery_id=delivery.delivery_id)
        return outcome

    async def ingest(self, owner: Store, topic: str, raw: bytes) -> Outcome:
        """Take in what stands in a file, as a webhook of this topic; the same again is a duplicate.

        Errors: `service.NotJson`, a busy database.
        """
        delivery_id = derived_id(topic, raw)
        delivery = Delivery(delivery_id=delivery_id, topic=topic, raw=raw, triggered_at=0, received_at=self.now())
        return await self.take_in(owner, delivery)

    async def retry_parked(self) -> list[Retried]:
        """Try everything that is parked once more; what became of each."""
        retried: list[Retried] = []
        after = 0
        while batch := await self.database.read(service.list_due_parked, after, _BATCH):
            after = batch[-1].id
            for parked in batch:
                outcome = await self._retry(parked)
                if outcome is not None:
                    retried.append(Retried(parked.delivery_id, parked.topic, outcome))
        return retried

    async def _retry(self, parked: Parked) -> Outcome | None:
        try:
            owner = await self.database.read(merchants.find_by_id, parked.store_id)
            if owner is None:
                return None
            delivery = service.open_body(parked, self.keyring)
            said = self._translate(owner, delivery)
            await self._note(owner, delivery, said)
            return await self.database.write(service.retry, owner, parked, delivery, said, self.keyring)
        except (SealBroken, service.NotJson) as error:
            _log.warning("delivery_unreadable", delivery_id=parked.delivery_id, reason=error.message)
        except Exception as error:  # noqa: BLE001 - one that fails must not keep the others from being tried
            said = _unapplied(error, Subject())
            _log.error("delivery_failed", delivery_id=parked.delivery_id, reason=said.surprises[0])
        return Outcome.PARKED

    def _translate(self, owner: Store, delivery: Delivery) -> Translation:
        try:
            return translate(delivery.topic, delivery.raw, delivery.triggered_at, delivery.received_at)
        except NotJson:
            _log.info("delivery_not_json", store=owner.domain, topic=delivery.topic)
            raise service.NotJson from None

    async def _note(self, owner: Store, delivery: Delivery, said: Translation) -> None:
        """Log a redaction before it is made."""
        match said.facts:
            case Redaction():
                entry = LoggedRedaction(
                    self.now(), owner.domain, delivery.topic, owner.uid, service.forgotten(said.facts, self.keyring)
                )
            case ShopRedacted():
                entry = LoggedRedaction(self.now(), owner.domain, delivery.topic, owner.uid)
            case _:
                return
        await asyncio.to_thread(_append, self.data_dir / LOG_NAME, msgspec.json.encode(entry))


async def reapply(database: Database, keyring: Keyring, data_dir: Path, since: int, now: int) -> int:
    """Make the redactions since a moment (microseconds UTC: when the copy was taken) again; how many."""
    count = 0
    for entry in _read(data_dir / LOG_NAME):
        if entry.at >= since:
            await database.write(_reapply, entry, keyring, now)
            count += 1
    return count


async def _reapply(tx: Tx, entry: LoggedRedaction, keyring: Keyring, now: int) -> None:
    try:
        owner = await merchants.find_store(tx, entry.store_uid)
    except merchants.StoreUnknown:
        return  # the copy does not know it, or it was removed already
    if entry.topic == "shop/redact":
        await service.forget_store(tx, owner, now)
    else:
        await service.redact(tx, owner.id, entry.person, keyring, entry.at)


def derived_id(topic: str, raw: bytes) -> str:
    """The id of a delivery that came without one: the same content under the same topic is the same delivery."""
    return hashlib.sha256(topic.encode(errors="surrogatepass") + b"\0" + raw).hexdigest()


def _unapplied(error: Exception, subject: Subject) -> Translation:
    """What is kept of a delivery that an unknown error stopped: its type and place, never its text.

    Errors: the error itself where sending again is the cure, or where the delivery is no delivery.
    """
    if isinstance(error, CarryoutError) and error.kind in (Kind.BUSY, Kind.MALFORMED):
        raise error
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return Translation(None, subject, (f"internal: {type(error).__name__}{place}",))


def _append(path: Path, line: bytes) -> None:
    """Add a line, on the disk when this returns. Errors: `DatabaseFull`."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "ab", buffering=0) as file:
            # A crash may have cut the last line short: it must not swallow this one.
            is_new = file.tell() == 0
            written = file.write(b"" if is_new else b"\n") + file.write(line)
            os.fsync(file)
        if is_new:
            _sync_folder(path.parent)
    except OSError as error:
        raise DatabaseFull from error
    if written < len(line):
        raise DatabaseFull


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> Iterator[LoggedRedaction]:
    """The entries; a line that a crash cut short belongs to a redaction that was never answered."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in filter(None, lines):
        try:
            yield msgspec.json.decode(line, type=LoggedRedaction)
        except msgspec.DecodeError:
            _log.warning("redaction_unreadable", path=path.name)
