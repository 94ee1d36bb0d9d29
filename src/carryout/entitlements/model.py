"""Grants, the facts that decide about them, and the verdict."""

import enum
from typing import Final, Generic, TypeVar

import msgspec

from carryout.merchants.model import FraudBlock, RiskLevel, StoreSettings
from carryout.orders.model import Standing

NO_LIMIT: Final = -1


class Refusal(enum.Enum):
    """Why a grant may not be used now, in order of precedence; the value is the code that clients see."""

    ACCESS_BLOCKED = "access_blocked"
    ORDER_CANCELLED = "order_cancelled"
    FRAUD_SUSPECTED = "fraud_suspected"
    ORDER_REFUNDED = "order_refunded"
    ORDER_NOT_PAID = "order_not_paid"
    NOT_YET_AVAILABLE = "not_yet_available"
    EXPIRED = "expired"
    DOWNLOAD_LIMIT_REACHED = "download_limit_reached"
    IP_LIMIT_REACHED = "ip_limit_reached"
    ASSET_UNAVAILABLE = "asset_unavailable"


class Terms(msgspec.Struct, frozen=True):
    """Limits as somebody set them: None is unset, `NO_LIMIT` is "no limit". Times are microseconds UTC."""

    downloads: int | None = None
    expires_at: int | None = None
    release_at: int | None = None


UNSET: Final = Terms()


class OrderFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the verdict looks at in an order: its standing, its risk, its blocks and its own terms."""

    standing: Standing
    is_blocked: bool = False
    are_links_stopped: bool = False
    risk_level: RiskLevel = RiskLevel.NONE
    fraud_block: FraudBlock = FraudBlock.NONE
    own: Terms = Terms()
    address_limit: int | None = None


class ClientFacts(msgspec.Struct, frozen=True):
    """What the verdict looks at in a client; only the page and the doors know one."""

    is_new_address: bool
    addresses: int
    has_open_session: bool = False


class KnownClient(msgspec.Struct, frozen=True):
    """What an order knows of an address, how many it knows, and whether its person was redacted."""

    redacted_at: int | None
    addresses: int
    is_known: bool


class GrantFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the verdict looks at in a grant."""

    used: int
    base: Terms = Terms()
    own: Terms = Terms()
    is_per_unit: bool = False
    is_blocked: bool = False
    # Of the line that grants; the order's own grants have no line, and end with the order alone.
    quantity: int | None = None
    remaining: int | None = None
    is_asset_ready: bool = True


class Effective(msgspec.Struct, frozen=True):
    """The terms in force; None is no limit."""

    downloads: int | None
    expires_at: int | None
    release_at: int | None


class Rule(msgspec.Struct, frozen=True):
    """One row of `explain`: whether a refusal holds, the fact it looked at, and what would change it."""

    code: str
    holds: bool
    fact: str
    remedy: str | None


class OrderView(msgspec.Struct, frozen=True):
    """An order with what its store says about it: one row of the look-up by token, ticket or id."""

    id: int
    uid: str
    store_id: int
    shopify_id: int | None
    order_number: int | None
    standing: Standing
    risk_rank: int
    blocked_at: int | None
    own_downloads: int | None
    own_addresses: int | None
    own_expires_at: int | None
    own_release_at: int | None
    address_limit: int | None
    link_generation: int
    store_uid: str
    plan: str
    settings: StoreSettings
    uninstalled_at: int | None
    locale: str | None


class LineView(msgspec.Struct, frozen=True, array_like=True):
    """A line with its product, whose fields are None for a line without a variant.

    The name is the product's, else the line's own.
    """

    id: int
    position: int
    name: str
    product_uid: str | None
    variant_name: str | None
    sku: str | None
    product_id: int | None
    variant_id: int | None
    vendor: str | None
    tags: list[str] | None


class Offer(msgspec.Struct, frozen=True, array_like=True):
    """A grant with its asset and the line that grants it: all that a verdict and a reply need."""

    id: int
    line_id: int | None
    used: int
    base_downloads: int | None
    is_per_unit: bool
    base_expires_at: int | None
    base_release_at: int | None
    own_downloads: int | None
    own_expires_at: int | None
    own_release_at: int | None
    blocked_at: int | None
    quantity: int | None
    remaining: int | None
    asset_uid: str
    is_link: bool
    filename: str
    size_text: str | None
    link_url: str | None
    removed_at: int | None
    size_bytes: int | None
    completed_at: int | None


class GrantView(Offer, frozen=True):
    """A grant with its public id and what is known of the content of its asset's newest version."""

    uid: str
    sha256: bytes | None
    crc32: int | None


class FoundOrder(OrderView, frozen=True):
    """An order that a token found, with its lines and its grants, in no order: one row, one statement."""

    lines: list[LineView]
    grants: list[Offer]


AnyGrant = TypeVar("AnyGrant", bound=Offer)


class CustomerView(msgspec.Struct, Generic[AnyGrant], frozen=True):
    """Everything that the buyer's faces show of one order."""

    order: OrderView
    lines: list[LineView]
    grants: list[AnyGrant]


class MissingGrant(msgspec.Struct, frozen=True):
    """A line (or, without one, the order) and an asset that it should grant, with the asset's own limits."""

    line_id: int | None
    asset_id: int
    downloads: int | None
    expires_days: int | None
    release_at: int | None


class Claimed(msgspec.Struct, frozen=True):
    """One use was spent: what to deliver."""

    order: OrderView
    grant: GrantView


class Refused(msgspec.Struct, frozen=True):
    """Nothing was spent, and why, in the store's words."""

    refusal: Refusal
    message: str
    order: OrderView
