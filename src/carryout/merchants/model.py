"""A store, its settings and its keys."""

import enum
from typing import Final

import msgspec

# The codes that a store may word in its own way (`message.CODE`); `entitlements.model.Refusal` holds the same.
MESSAGE_CODES: Final = (
    "access_blocked",
    "order_cancelled",
    "fraud_suspected",
    "order_refunded",
    "order_not_paid",
    "not_yet_available",
    "expired",
    "download_limit_reached",
    "ip_limit_reached",
    "asset_unavailable",
)

# The settings that a plan may leave out.
PLAN_SETTINGS: Final = frozenset({"fraud_block", "delivery"})


class RiskLevel(enum.IntEnum):
    """A fraud assessment; the value is its rank."""

    NONE = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3


class FraudBlock(enum.Enum):
    """From which risk level on a store refuses downloads."""

    NONE = "none"
    MEDIUM = "medium"
    HIGH = "high"


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is in force of what a merchant sets on a store. A limit of None is no limit.

    `withheld` is what the merchant set and the store's plan leaves out: a larger plan puts it in force again.
    """

    download_limit: int | None = None
    address_limit: int | None = None
    expires_days: int | None = None
    limit_per_unit: bool = False
    fraud_block: FraudBlock = FraudBlock.NONE
    expose_link_targets: bool = False
    delivery: str = "proxy"
    title: str | None = None
    text: str | None = None
    logo: str | None = None
    accent: str | None = None
    contact_url: str | None = None
    messages: dict[str, str] = {}
    links_after_uninstall: bool = True
    timezone: str = "UTC"
    withheld: dict[str, str] = {}


class Store(msgspec.Struct, frozen=True):
    """One shop of a merchant."""

    id: int
    uid: str
    name: str
    domain: str
    plan: str
    settings: StoreSettings
    uninstalled_at: int | None


class NewStore(msgspec.Struct, frozen=True):
    """A store to be inserted; its secret is sealed."""

    uid: str
    name: str
    domain: str
    plan: str
    webhook_secret: bytes


class SettingFault(msgspec.Struct, frozen=True):
    """What is wrong with a value that somebody wants to set."""

    key: str
    must: str


class SignedStore(msgspec.Struct, frozen=True):
    """A store and the secrets that its webhooks may be signed with, the current one first."""

    store: Store
    secrets: tuple[bytes, ...]


class Dialect(enum.Enum):
    """Which generation of the Fileflare documentation a key's replies follow."""

    NEW = "new"
    OLD = "old"


class ApiKey(msgspec.Struct, frozen=True):
    """A key of the merchant API; the key itself is kept as a digest only."""

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


class NewKey(msgspec.Struct, frozen=True):
    """A key to be inserted; `dialect` is a value of `Dialect`."""

    uid: str
    name: str
    digest: bytes
    dialect: str
    scopes: str
    expires_at: int | None


class KeyView(msgspec.Struct, frozen=True):
    """A key and the store it opens, as the operator sees them."""

    uid: str
    store_uid: str
    domain: str
    name: str
    dialect: Dialect
    scopes: str
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None
    created_at: int
