"""`carryout check`: whether everything that a server needs is there and works, end to end."""

import asyncio
import smtplib
import ssl
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

from carryout.cli.output import AsJson, print_json, shown
from carryout.cli.session import Session, load_settings, run
from carryout.db import Tx
from carryout.db.migrate import newest
from carryout.db.seals import list_key_ids
from carryout.errors import CarryoutError, Kind
from carryout.settings import Settings
from carryout.storage import probe
from carryout.tickets import TicketKind

_TIMEOUT_SECONDS: Final = 10
_CONTEXT: Final = "check"


class ChecksFailed(CarryoutError):
    """{count} of the checks failed."""

    kind = Kind.MISCONFIGURED


class KeysMissing(CarryoutError):
    """Something is sealed under {count} secret keys (ids {ids}) that are not among CARRYOUT_SECRET_KEY."""

    kind = Kind.MISCONFIGURED


class SigningBroken(CarryoutError):
    """What was signed or sealed with the secret key is not recognised."""

    kind = Kind.MISCONFIGURED


class NoAnswer(CarryoutError):
    """{address} does not answer as it should: {reason}."""

    kind = Kind.MISCONFIGURED


class DatabaseSilent(CarryoutError):
    """The database opens, but does not answer."""

    kind = Kind.BUSY


def check(*, online: bool = False, as_json: AsJson = False) -> None:
    """Check configuration, database, storage, mail and signing; exit code 1 when any of them fails.

    Parameters
    ----------
    online
        Also ask what is reached over the network: the mail server, and ourselves at CARRYOUT_BASE_URL where it is set.
    """
    rows = _check(online=online)
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            print(f"{'ok' if row['ok'] else 'FAILED':<7} {row['name']:<12} {shown(row['detail'])}")
    failed = [row for row in rows if not row["ok"]]
    if failed:
        raise ChecksFailed(count=len(failed))


def _check(*, online: bool) -> list[dict[str, Any]]:
    try:
        settings = load_settings()
    except CarryoutError as error:
        return [_row("settings", ok=False, detail=error.message)]
    rows = [_row("settings", ok=True, detail=f"data folder {settings.data_dir}")]
    try:
        return rows + run(_run_checks, online=online)
    except CarryoutError as error:  # it could not be opened
        return [*rows, _row("database", ok=False, detail=error.message)]


async def _run_checks(session: Session, *, online: bool) -> list[dict[str, Any]]:
    checks: dict[str, Callable[[Session], Awaitable[str]]] = {
        "database": _database,
        "storage": _storage,
        "signing": _signing,
        "secret keys": _secret_keys,
        "mail": _mail_online if online else _mail,
    }
    if online and session.settings.base_url is not None:
        checks["address"] = _address
    return [await _outcome(name, checking, session) for name, checking in checks.items()]


async def _outcome(name: str, checking: Callable[[Session], Awaitable[str]], session: Session) -> dict[str, Any]:
    try:
        return _row(name, ok=True, detail=await checking(session))
    except CarryoutError as error:
        return _row(name, ok=False, detail=error.message)


async def _database(session: Session) -> str:
    if not await session.database.is_answering():
        raise DatabaseSilent
    await session.database.write(_write_nothing)
    return f"{session.database.dialect}, schema {newest()}"


async def _write_nothing(tx: Tx) -> None:
    """A transaction that may write; that it can be opened and committed is the point."""
    del tx


async def _storage(session: Session) -> str:
    await probe(session.storage)
    return f"wrote, read and deleted a file in {session.settings.storage_url}"


async def _signing(session: Session) -> str:
    ticket = session.tickets.read(TicketKind.ORDER, session.tickets.issue(TicketKind.ORDER, 1, 2, 3))
    sealed = session.keyring.seal(_CONTEXT.encode(), _CONTEXT)
    if ticket is None or ticket.row_id != 2 or session.keyring.open(sealed, _CONTEXT) != _CONTEXT.encode():  # noqa: PLR2004 - as issued
        raise SigningBroken
    return "signed and sealed with the first of the secret keys"


async def _secret_keys(session: Session) -> str:
    used = await session.database.sweep(list_key_ids)
    missing = [key_id.hex() for key_id in used if not session.keyring.knows(key_id)]
    if missing:
        raise KeysMissing(count=len(missing), ids=", ".join(missing))
    return f"{len(session.keyring.keys)} configured, {len(used)} in use"


async def _mail(session: Session) -> str:
    settings = session.settings
    if settings.smtp_url is None:
        return "not configured: mails stay in the outbox"
    return f"{_mail_address(settings)}, not asked (use --online)"


async def _mail_online(session: Session) -> str:
    if session.settings.smtp_url is None:
        return await _mail(session)
    address = _mail_address(session.settings)
    try:
        await asyncio.to_thread(_greet, session.settings.smtp_url)
    except (OSError, smtplib.SMTPException) as error:
        raise NoAnswer(address=address, reason=str(error) or type(error).__name__) from None
    return f"{address} answers"


def _mail_address(settings: Settings) -> str:
    """Where mails go, without the password."""
    parts = urlsplit(settings.smtp_url or "")
    return f"{parts.scheme}://{parts.hostname}"


def _greet(url: str) -> None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "smtps":
        with smtplib.SMTP_SSL(
            host, parts.port or 465, timeout=_TIMEOUT_SECONDS, context=ssl.create_default_context()
        ) as server:
            server.noop()
    else:
        with smtplib.SMTP(host, parts.port or 587, timeout=_TIMEOUT_SECONDS) as server:
            server.noop()


async def _address(session: Session) -> str:
    url = f"{session.base_url}/healthz"
    try:
        status = await asyncio.to_thread(_fetch_status, url)
    except (OSError, ValueError) as error:
        raise NoAnswer(address=url, reason=str(error)) from None
    return f"{url} answers {status}"


def _fetch_status(url: str) -> int:
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as reply:  # noqa: S310 - http or https, as settings require
        return int(reply.status)


def _row(name: str, *, ok: bool, detail: str) -> dict[str, Any]:
    return {"name": name, "ok": ok, "detail": detail}
