"""Grants, the facts that decide about them, and the verdict."""

import enum
from typing import Final

import msgspec

from carryout.merchants.model import FraudBlock, RiskLevel
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
