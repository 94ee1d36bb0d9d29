"""Stores and keys in the database."""

from collections.abc import Mapping

import msgspec
from sqlalchemy import BigInteger, bindparam, delete, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from carryout.db import Query, Statement, Tx
from carryout.db.tables import keys, stores
from carryout.merchants.model import ApiKey, Dialect, KeyView, NewKey, NewStore, Store, StoreSettings

_s = stores.c
_k = keys.c
_STORE = (_s.id, _s.uid, _s.name, _s.domain, _s.plan, _s.settings, _s.uninstalled_at)
_KEY = (
    _k.id, _k.uid, _k.store_id, _k.name, _k.dialect, _k.scopes, _k.expires_at, _k.revoked_at, _k.last_used_at,
    _k.created_at,
)  # fmt: skip
_OURS = _s.id == bindparam("store_id")


class SealedStore(msgspec.Struct, frozen=True):
    """A store's row with its sealed secrets."""

    id: int
    uid: str
    name: str
    domain: str
    plan: str
    settings: StoreSettings
    uninstalled_at: int | None
    webhook_secret: bytes
    previous_secret: bytes | None
    previous_until: int | None

    @property
    def store(self) -> Store:
        """The store without them."""
        return Store(self.id, self.uid, self.name, self.domain, self.plan, self.settings, self.uninstalled_at)


class OpenedKey(msgspec.Struct, frozen=True):
    """A key's row with that of the store it opens."""

    id: int
    uid: str
    store_id: int
    name: str
    dialect: Dialect
    scopes: str
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None
    created_at: int
    store_uid: str
    store_name: str
    store_domain: str
    store_plan: str
    store_settings: StoreSettings
    store_uninstalled_at: int | None

    @property
    def store(self) -> Store:
        """The store that it opens."""
        return Store(
            self.store_id,
            self.store_uid,
            self.store_name,
            self.store_domain,
            self.store_plan,
            self.store_settings,
            self.store_uninstalled_at,
        )

    @property
    def key(self) -> ApiKey:
        """The key itself."""
        return ApiKey(*(getattr(self, name) for name in ApiKey.__struct_fields__))


_INSERT = Query(
    insert(stores)
    .values(
        uid=bindparam("uid"),
        name=bindparam("name"),
        domain=bindparam("domain"),
        plan=bindparam("plan"),
        settings=bindparam("settings"),
        webhook_secret=bindparam("webhook_secret"),
        created_at=bindparam("now"),
    )
    .on_conflict_do_nothing(index_elements=["domain"])
    .returning(*_STORE),
    Store,
)
_LIST = Query(select(*_STORE).order_by(_s.id), Store)
_FIND = Query(select(*_STORE).where(_OURS), Store)
_FIND_BY_UID = Query(select(*_STORE).where(_s.uid == bindparam("uid")), Store)
_FIND_BY_DOMAIN = Query(select(*_STORE).where(_s.domain == bindparam("domain")), Store)
_FIND_SEALED = Query(
    select(*_STORE, _s.webhook_secret, _s.previous_secret, _s.previous_until).where(_s.domain == bindparam("domain")),
    SealedStore,
)
_LOCK = Query(select(*_STORE).where(_OURS).with_for_update(), Store)
_UPDATE = Statement(
    update(stores).where(_OURS).values(name=bindparam("name"), plan=bindparam("plan"), settings=bindparam("settings"))
)
_UPDATE_NAME = Statement(update(stores).where(_OURS).values(name=bindparam("name")))
_UPDATE_SECRET = Statement(
    update(stores)
    .where(_OURS)
    .values(
        previous_secret=_s.webhook_secret,
        previous_until=bindparam("previous_until"),
        webhook_secret=bindparam("webhook_secret"),
    )
)
_UPDATE_UNINSTALLED = Statement(
    update(stores).where(_OURS, _s.uninstalled_at.is_(None)).values(uninstalled_at=bindparam("now"))
)
_UPDATE_INSTALLED = Statement(update(stores).where(_OURS).values(uninstalled_at=null()))
_DELETE = Query(delete(stores).where(_OURS).returning(_s.id), int)

_NEW_KEY = {
    _k.uid: bindparam("uid", type_=_k.uid.type),
    _k.store_id: _s.id,
    _k.name: bindparam("name", type_=_k.name.type),
    _k.digest: bindparam("digest", type_=_k.digest.type),
    _k.dialect: bindparam("dialect", type_=_k.dialect.type),
    _k.scopes: bindparam("scopes", type_=_k.scopes.type),
    _k.expires_at: bindparam("expires_at", type_=_k.expires_at.type),
    _k.created_at: bindparam("now", type_=_k.created_at.type),
}
_INSERT_KEY = Query(
    insert(keys).from_select(list(_NEW_KEY), select(*_NEW_KEY.values()).where(_OURS)).returning(*_KEY),
    ApiKey,
)
_LIST_KEYS = Query(
    select(
        _k.uid, _s.uid.label("store_uid"), _s.domain, _k.name, _k.dialect, _k.scopes, _k.expires_at, _k.revoked_at,
        _k.last_used_at, _k.created_at,
    )
    .join_from(keys, stores, _s.id == _k.store_id)
    .order_by(_k.id),
    KeyView,
)  # fmt: skip
_FIND_KEY = Query(
    select(*_KEY, *(column.label(f"store_{column.key}") for column in _STORE if column is not _s.id))
    .join_from(keys, stores, _s.id == _k.store_id)
    .where(
        _k.digest == bindparam("digest"),
        _k.revoked_at.is_(None),
        or_(_k.expires_at.is_(None), _k.expires_at > bindparam("now")),
    ),
    OpenedKey,
)
_UPDATE_LAST_USE = Statement(
    update(keys)
    .where(
        _k.id == bindparam("key_id"),
        or_(_k.last_used_at.is_(None), _k.last_used_at < bindparam("at", type_=BigInteger)),
    )
    .values(last_used_at=bindparam("at", type_=BigInteger))
)
_REVOKE_KEY = Query(
    update(keys).where(_k.uid == bindparam("uid"), _k.revoked_at.is_(None)).values(revoked_at=bindparam("now"))
    .returning(*_KEY),
    ApiKey,
)  # fmt: skip
_FIND_KEY_BY_UID = Query(select(*_KEY).where(_k.uid == bindparam("uid")), ApiKey)


async def insert_store(tx: Tx, new: NewStore, now: int) -> Store | None:
    """Insert a store; None when the domain is taken."""
    return await tx.one(_INSERT, **msgspec.structs.asdict(new), settings=_written(StoreSettings()), now=now)


async def list_all(tx: Tx) -> list[Store]:
    """Every store, the oldest first."""
    return await tx.all(_LIST)


async def find_by_id(tx: Tx, store_id: int) -> Store | None:
    """The store of a row that points to it, or None."""
    return await tx.one(_FIND, store_id=store_id)


async def find_by_uid(tx: Tx, uid: str) -> Store | None:
    """The store with this public id, or None."""
    return await tx.one(_FIND_BY_UID, uid=uid)


async def find_by_name(tx: Tx, domain: str) -> Store | None:
    """The store with this domain, or None."""
    return await tx.one(_FIND_BY_DOMAIN, domain=domain)


async def find_sealed(tx: Tx, domain: str) -> SealedStore | None:
    """The store with this domain and its secrets, or None."""
    return await tx.one(_FIND_SEALED, domain=domain)


async def find_locked(tx: Tx, store_id: int) -> Store | None:
    """The store, kept from changing until the transaction ends, or None."""
    return await tx.one(_LOCK, store_id=store_id)


async def update_store(tx: Tx, store_id: int, name: str, plan: str, settings: StoreSettings) -> None:
    """Write what a merchant may set."""
    await tx.run(_UPDATE, store_id=store_id, name=name, plan=plan, settings=_written(settings))


async def update_name(tx: Tx, store_id: int, name: str) -> None:
    """Write the name alone."""
    await tx.run(_UPDATE_NAME, store_id=store_id, name=name)


async def update_secret(tx: Tx, store_id: int, webhook_secret: bytes, previous_until: int) -> None:
    """Write a new secret; the one before it is kept until `previous_until`."""
    await tx.run(_UPDATE_SECRET, store_id=store_id, webhook_secret=webhook_secret, previous_until=previous_until)


async def update_uninstalled(tx: Tx, store_id: int, now: int) -> None:
    """Note that the app was uninstalled, the first time only."""
    await tx.run(_UPDATE_UNINSTALLED, store_id=store_id, now=now)


async def update_installed(tx: Tx, store_id: int) -> None:
    """Note that the app is installed."""
    await tx.run(_UPDATE_INSTALLED, store_id=store_id)


async def delete_store(tx: Tx, store_id: int) -> bool:
    """Delete a store and every row of its; whether it was there."""
    return await tx.one(_DELETE, store_id=store_id) is not None


async def insert_key(tx: Tx, store_id: int, new: NewKey, now: int) -> ApiKey | None:
    """Insert a key; None when there is no such store."""
    return await tx.one(_INSERT_KEY, **msgspec.structs.asdict(new), store_id=store_id, now=now)


async def list_keys(tx: Tx) -> list[KeyView]:
    """Every key of every store, the oldest first."""
    return await tx.all(_LIST_KEYS)


async def find_key(tx: Tx, digest: bytes, now: int) -> OpenedKey | None:
    """The key with this digest while it is good, and its store, or None."""
    return await tx.one(_FIND_KEY, digest=digest, now=now)


async def update_last_uses(tx: Tx, used: Mapping[int, int]) -> None:
    """Note when keys (by id) were last used; a later time stays."""
    await tx.many(_UPDATE_LAST_USE, [{"key_id": key_id, "at": at} for key_id, at in used.items()])


async def revoke_key(tx: Tx, uid: str, now: int) -> ApiKey | None:
    """Revoke a key that is not revoked yet, or None."""
    return await tx.one(_REVOKE_KEY, uid=uid, now=now)


async def find_key_by_uid(tx: Tx, uid: str) -> ApiKey | None:
    """The key with this public id, or None."""
    return await tx.one(_FIND_KEY_BY_UID, uid=uid)


def _written(settings: StoreSettings) -> str:
    return msgspec.json.encode(settings).decode()
