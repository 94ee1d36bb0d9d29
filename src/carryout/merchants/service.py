"""Stores, their settings and webhook secrets, and the keys of the merchant API."""

import hashlib
import secrets
import zoneinfo
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import msgspec

from carryout.clock import HOUR
from carryout.db import Tx
from carryout.errors import CarryoutError, Kind
from carryout.identifiers import is_uid, new_uid
from carryout.keyring import Keyring
from carryout.merchants import rules, store
from carryout.merchants.model import (
    PLAN_SETTINGS,
    ApiKey,
    Dialect,
    NewKey,
    NewStore,
    SettingFault,
    SignedStore,
    Store,
)
from carryout.merchants.rules import dark_pair
from carryout.merchants.store import delete_store, find_by_id, list_all, list_keys, update_last_uses
from carryout.merchants.store.calls import prune_calls

__all__ = [
    "DomainInvalid",
    "DomainTaken",
    "KeyExpired",
    "KeyUnknown",
    "PlanExcludesSetting",
    "PlanUnknown",
    "ScopesInvalid",
    "SettingInvalid",
    "StoreUnknown",
    "apply_plans",
    "create",
    "create_key",
    "dark_pair",
    "delete_store",
    "find_by_domain",
    "find_by_id",
    "find_by_key",
    "find_store",
    "list_all",
    "list_keys",
    "mark_installed",
    "mark_uninstalled",
    "prune_calls",
    "revoke_key",
    "rotate_secret",
    "set_values",
    "update_last_uses",
    "update_profile",
]

_SEAL: Final = "webhook secret"
_GENERATED_BYTES: Final = 32
_NAME_LENGTH: Final = 200
_SECRET_LENGTH: Final = 255
_PREVIOUS_GOOD_FOR: Final = HOUR
_KEY_PREFIX: Final = "co_"
_KEY_LENGTH: Final = len(_KEY_PREFIX) + 43


class StoreUnknown(CarryoutError):
    """There is no store {store}."""

    kind = Kind.NOT_FOUND


class DomainInvalid(CarryoutError):
    """The domain {domain} must be a host name such as SHOP.myshopify.com."""


class DomainTaken(CarryoutError):
    """There is a store with the domain {domain} already."""

    kind = Kind.CONFLICT


class PlanUnknown(CarryoutError):
    """There is no plan {plan}; the plans are {known}."""


class PlanExcludesSetting(CarryoutError):
    """The plan {plan} does not include {key}={value}."""

    kind = Kind.PLAN


class SettingInvalid(CarryoutError):
    """{key} {must}."""


class KeyUnknown(CarryoutError):
    """There is no key {key_id}."""

    kind = Kind.NOT_FOUND


class KeyExpired(CarryoutError):
    """The key would have expired already; expires-at must lie ahead."""


class ScopesInvalid(CarryoutError):
    """The scopes {scopes} must be read, write or read,write."""


async def create(
    tx: Tx,
    keyring: Keyring,
    name: str,
    domain: str,
    secret: str | None,
    plan: str,
    known_plans: Collection[str],
    now: int,
) -> tuple[Store, str]:
    """Make a store; answers it and its webhook secret, which is made when none is given.

    Errors: `DomainInvalid`, `DomainTaken`, `PlanUnknown`, `SettingInvalid`.
    """
    domain = domain.strip().lower()
    if not rules.is_domain(domain):
        raise DomainInvalid(domain=_shown(domain))
    _check_plan(plan, known_plans)
    secret = secrets.token_hex(_GENERATED_BYTES) if secret is None else _checked_secret(secret)
    sealed = keyring.seal(secret.encode(), _SEAL)
    made = await store.insert_store(tx, NewStore(new_uid(), _checked_name(name), domain, plan, sealed), now)
    if made is None:
        raise DomainTaken(domain=domain)
    return made, secret


async def find_store(tx: Tx, text: str) -> Store:
    """The store that a person named, by its id or its domain. Errors: `StoreUnknown`."""
    text = text.strip().lower()
    found = await (store.find_by_uid(tx, text) if is_uid(text) else _find_plain(tx, text))
    if found is None:
        raise StoreUnknown(store=_shown(text))
    return found


async def find_by_domain(tx: Tx, keyring: Keyring, domain: str, now: int) -> SignedStore | None:
    """The store that a webhook names and the secrets that may have signed it, or None."""
    domain = domain.lower()
    row = await store.find_sealed(tx, domain) if rules.is_domain(domain) else None
    if row is None:
        return None
    sealed = [row.webhook_secret]
    if row.previous_secret is not None and row.previous_until is not None and now < row.previous_until:
        sealed.append(row.previous_secret)
    return SignedStore(row.store, tuple(keyring.open(secret, _SEAL) for secret in sealed))


async def set_values(
    tx: Tx,
    store_id: int,
    pairs: Iterable[tuple[str, str]],
    keyring: Keyring,
    plans: Mapping[str, Collection[str]],
    now: int,
) -> Store:
    """Apply the pairs of `store set`, all or none; `name`, `plan` and `webhook_secret` are keys too.

    `plans` are the plans there are, each with the settings that it leaves out.
    Errors: `SettingInvalid`, `PlanUnknown`, `PlanExcludesSetting`, `StoreUnknown`.
    """
    pairs = list(pairs)
    # Locked, since the settings are one text: two merchants who set two keys at once both get their way.
    ours = await store.find_locked(tx, store_id)
    if ours is None:
        raise StoreUnknown(store=store_id)
    wished = msgspec.structs.replace(ours, settings=rules.settings_under(ours.settings, ()))
    for key, value in pairs:
        if key == "webhook_secret":
            await rotate_secret(tx, store_id, value, keyring, now)
        else:
            wished = _with(wished, key, value, plans)
    ours = _under_plan(wished, plans)
    for key, value in pairs:
        if key in ours.settings.withheld:
            raise PlanExcludesSetting(plan=ours.plan, key=key, value=_shown(value))
    await store.update_store(tx, store_id, ours.name, ours.plan, ours.settings)
    return ours


async def apply_plans(tx: Tx, plans: Mapping[str, Collection[str]]) -> None:
    """Bring every store in line with what the operator's plans leave out now; for the start of a server."""
    for each in await store.list_all(tx):
        if _under_plan(each, plans) != each and (ours := await store.find_locked(tx, each.id)) is not None:
            fitting = _under_plan(ours, plans)
            await store.update_store(tx, ours.id, ours.name, ours.plan, fitting.settings)


async def rotate_secret(tx: Tx, store_id: int, secret: str, keyring: Keyring, now: int) -> None:
    """Take a new webhook secret; the one before it is good for another hour. Errors: `SettingInvalid`."""
    sealed = keyring.seal(_checked_secret(secret).encode(), _SEAL)
    await store.update_secret(tx, store_id, sealed, now + _PREVIOUS_GOOD_FOR)


async def update_profile(tx: Tx, store_id: int, name: str) -> None:
    """Take the name that the shop has given itself; one that cannot be shown is left out."""
    cleaned = "".join(char for char in name if rules.is_showable(char)).strip()[:_NAME_LENGTH]
    if cleaned:
        await store.update_name(tx, store_id, cleaned)


async def mark_uninstalled(tx: Tx, store_id: int, now: int) -> None:
    """The shop removed the app: new work stops, and links too where the store wants it (`links_after_uninstall`)."""
    await store.update_uninstalled(tx, store_id, now)


async def mark_installed(tx: Tx, store_id: int) -> None:
    """The shop has the app again."""
    await store.update_installed(tx, store_id)


async def create_key(
    tx: Tx, store_id: int, name: str, dialect: Dialect, scopes: str, expires_at: int | None, now: int
) -> tuple[ApiKey, str]:
    """Make a key of the merchant API; answers it and the key itself, which is kept nowhere.

    Errors: `ScopesInvalid`, `KeyExpired`, `SettingInvalid` (the name), `StoreUnknown`.
    """
    wanted = {scope.strip() for scope in scopes.split(",")}
    if not wanted <= set(rules.SCOPES):
        raise ScopesInvalid(scopes=_shown(scopes))
    if expires_at is not None and expires_at <= now:
        raise KeyExpired
    secret = _KEY_PREFIX + secrets.token_urlsafe(_GENERATED_BYTES)
    written = ",".join(scope for scope in rules.SCOPES if scope in wanted)
    new = NewKey(new_uid(), _checked_name(name), _digest(secret), dialect.value, written, expires_at)
    made = await store.insert_key(tx, store_id, new, now)
    if made is None:
        raise StoreUnknown(store=store_id)
    return made, secret


async def find_by_key(tx: Tx, key: str, now: int) -> tuple[Store, ApiKey] | None:
    """The store that a key opens, and the key with its rights; None when it is unknown, expired or revoked."""
    if len(key) != _KEY_LENGTH or not key.startswith(_KEY_PREFIX) or not key.isascii():
        return None
    found = await store.find_key(tx, _digest(key), now)
    return None if found is None else (found.store, found.key)


async def revoke_key(tx: Tx, key_id: str, now: int) -> ApiKey:
    """End a key at once; again changes nothing. Errors: `KeyUnknown`."""
    key_id = key_id.strip().lower()
    revoked = None
    if is_uid(key_id):
        revoked = await store.revoke_key(tx, key_id, now) or await store.find_key_by_uid(tx, key_id)
    if revoked is None:
        raise KeyUnknown(key_id=_shown(key_id))
    return revoked


async def _find_plain(tx: Tx, domain: str) -> Store | None:
    return await store.find_by_name(tx, domain) if rules.is_domain(domain) else None


def _with(ours: Store, key: str, value: str, known_plans: Collection[str]) -> Store:
    if key == "plan":
        _check_plan(value, known_plans)
        return msgspec.structs.replace(ours, plan=value)
    if key == "name":
        return msgspec.structs.replace(ours, name=_checked_name(value))
    timezones = zoneinfo.available_timezones() if key == "timezone" else ()
    outcome: Any = rules.settings_with(ours.settings, key, value, timezones)
    if isinstance(outcome, SettingFault):
        raise SettingInvalid(key=_shown(outcome.key), must=outcome.must)
    return msgspec.structs.replace(ours, settings=outcome)


def _under_plan(ours: Store, plans: Mapping[str, Collection[str]]) -> Store:
    """The store with the settings in force on its plan; one that is in nobody's file any more leaves out all it can."""
    left_out = plans.get(ours.plan, PLAN_SETTINGS)
    return msgspec.structs.replace(ours, settings=rules.settings_under(ours.settings, left_out))


def _check_plan(plan: str, known_plans: Collection[str]) -> None:
    if plan not in known_plans:
        raise PlanUnknown(plan=_shown(plan), known=", ".join(known_plans))


def _checked_name(name: str) -> str:
    name = name.strip()
    if not 0 < len(name) <= _NAME_LENGTH or "\n" in name or not rules.is_showable(name):
        raise SettingInvalid(key="name", must=f"must be 1 to {_NAME_LENGTH} characters without control characters")
    return name


def _checked_secret(secret: str) -> str:
    secret = secret.strip()
    if not 0 < len(secret) <= _SECRET_LENGTH or not secret.isascii() or not secret.isprintable():
        raise SettingInvalid(key="webhook_secret", must=f"must be 1 to {_SECRET_LENGTH} printable ASCII characters")
    return secret


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _shown(text: str) -> str:
    return text.encode(errors="replace").decode()[:100]
