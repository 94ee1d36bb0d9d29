"""The verdict: whether a grant may be used now, and if not, why. Pure, total, and the only place that decides.

Every face calls it: the customer endpoint, the page, the doors, the command line. `explain` lists the same rules with
the fact each looked at. Times are microseconds UTC.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from carryout.entitlements.model import (
    NO_LIMIT,
    UNSET,
    ClientFacts,
    Effective,
    GrantFacts,
    OrderFacts,
    Refusal,
    Rule,
    Terms,
)
from carryout.merchants.model import FraudBlock, RiskLevel
from carryout.orders.model import Standing

_DAY: Final = 24 * 3600 * 1_000_000
_LATEST: Final = 2**62
_BLOCK_LEVELS: Final = {FraudBlock.MEDIUM: RiskLevel.MEDIUM, FraudBlock.HIGH: RiskLevel.HIGH}


class Case(NamedTuple):
    """What the rules look at, all of it."""

    order: OrderFacts
    grant: GrantFacts
    terms: Effective
    client: ClientFacts | None
    now: int


def verdict(order: OrderFacts, grant: GrantFacts, client: ClientFacts | None, now: int) -> Refusal | None:
    """The first refusal that holds, or None: allowed.

    Without a client it judges as a new client would be judged at the limit of uses, and knows no addresses.
    """
    return first_refusal(Case(order, grant, effective(order, grant), client, now), RULES)


def to_ask(order: OrderFacts) -> "Rules":
    """The rules that can refuse a grant of this order: where nothing about the order does, its own are not asked."""
    is_clear = order.standing is Standing.PAID and not (order.is_blocked or order.are_links_stopped)
    return RULES_OF_GRANTS if is_clear and order.risk_level is RiskLevel.NONE else RULES


def first_refusal(case: Case, rules: "Rules") -> Refusal | None:
    """The verdict on a case whose terms are known already, by the rules `to_ask` of its order."""
    for refusal, holds in rules:
        if holds(case):
            return refusal
    return None


def stop(order: OrderFacts, grant: GrantFacts) -> Refusal | None:
    """What takes away even a download that was opened in time, or None: it may go on to its end.

    Release, expiry, payment and limits are asked when a download is opened, not while it runs.
    """
    case = Case(order, grant, Effective(None, None, None), None, 0)
    return next((refusal for refusal, holds in RULES if refusal in STOPS and holds(case)), None)


def effective(order: OrderFacts, grant: GrantFacts) -> Effective:
    """The terms in force: the grant's own, else the order's, else the snapshot (of the asset, else the store)."""
    if grant.own is UNSET and order.own is UNSET:
        base = grant.base
        return Effective(_limit(_multiplied(grant)), _limit(base.expires_at), _limit(base.release_at))
    return Effective(
        downloads=_first(grant.own.downloads, order.own.downloads, _multiplied(grant)),
        expires_at=_first(grant.own.expires_at, order.own.expires_at, grant.base.expires_at),
        release_at=_first(grant.own.release_at, order.own.release_at, grant.base.release_at),
    )


def address_limit(own: int | None, snapshot: int | None) -> int | None:
    """How many addresses may use an order; None is no limit."""
    return _first(own, snapshot, None)


def snapshot(asset: Terms, store_downloads: int | None, expires_days: int | None, ordered_at: int) -> Terms:
    """The terms of a new grant: the asset's own limits, else the store's. `asset.expires_at` is in days here."""
    days = expires_days if asset.expires_at is None else asset.expires_at
    return Terms(
        downloads=store_downloads if asset.downloads is None else asset.downloads,
        expires_at=None if days is None else min(ordered_at + days * _DAY, _LATEST),
        release_at=asset.release_at,
    )


def explain(order: OrderFacts, grant: GrantFacts, client: ClientFacts | None, now: int) -> list[Rule]:
    """Every rule in order of precedence, whether it holds, the fact it looked at, and what would change it."""
    case = Case(order, grant, effective(order, grant), client, now)
    return [_explained(refusal, case, is_holding=holds(case)) for refusal, holds in RULES]


def _first(own: int | None, order: int | None, base: int | None) -> int | None:
    return _limit(own if own is not None else order if order is not None else base)


def _limit(chosen: int | None) -> int | None:
    return None if chosen == NO_LIMIT else chosen


def _multiplied(grant: GrantFacts) -> int | None:
    if grant.base.downloads is None or not grant.is_per_unit or grant.quantity is None:
        return grant.base.downloads
    return grant.base.downloads * grant.quantity


# ── one predicate a refusal


def _is_blocked(case: Case) -> bool:
    return case.order.is_blocked or case.grant.is_blocked or case.order.are_links_stopped


def _is_cancelled(case: Case) -> bool:
    return case.order.standing is Standing.CANCELLED


def _is_suspected(case: Case) -> bool:
    level = _BLOCK_LEVELS.get(case.order.fraud_block)
    return level is not None and case.order.risk_level >= level


def _is_refunded(case: Case) -> bool:
    return case.order.standing is Standing.REFUNDED or (case.grant.remaining is not None and case.grant.remaining <= 0)


def _is_unpaid(case: Case) -> bool:
    return case.order.standing is Standing.PENDING


def _is_early(case: Case) -> bool:
    return case.terms.release_at is not None and case.now < case.terms.release_at


def _is_expired(case: Case) -> bool:
    return case.terms.expires_at is not None and case.now >= case.terms.expires_at


def _is_used_up(case: Case) -> bool:
    if case.client is not None and case.client.has_open_session:
        return False
    return case.terms.downloads is not None and case.grant.used >= case.terms.downloads


def _is_crowded(case: Case) -> bool:
    limit = case.order.address_limit
    if limit is None or case.client is None:
        return False
    return case.client.is_new_address and case.client.addresses >= limit


def _is_missing(case: Case) -> bool:
    return not case.grant.is_asset_ready


Rules = tuple[tuple[Refusal, Callable[[Case], bool]], ...]
RULES: Final[Rules] = (
    (Refusal.ACCESS_BLOCKED, _is_blocked),
    (Refusal.ORDER_CANCELLED, _is_cancelled),
    (Refusal.FRAUD_SUSPECTED, _is_suspected),
    (Refusal.ORDER_REFUNDED, _is_refunded),
    (Refusal.ORDER_NOT_PAID, _is_unpaid),
    (Refusal.NOT_YET_AVAILABLE, _is_early),
    (Refusal.EXPIRED, _is_expired),
    (Refusal.DOWNLOAD_LIMIT_REACHED, _is_used_up),
    (Refusal.IP_LIMIT_REACHED, _is_crowded),
    (Refusal.ASSET_UNAVAILABLE, _is_missing),
)
RULES_OF_GRANTS: Final[Rules] = tuple(
    rule for rule in RULES if rule[0] not in (Refusal.ORDER_CANCELLED, Refusal.FRAUD_SUSPECTED, Refusal.ORDER_NOT_PAID)
)

STOPS: Final = frozenset(
    {Refusal.ACCESS_BLOCKED, Refusal.ORDER_CANCELLED, Refusal.FRAUD_SUSPECTED, Refusal.ORDER_REFUNDED}
)


# ── the words of `explain`


def _explained(refusal: Refusal, case: Case, *, is_holding: bool) -> Rule:
    fact, remedy = _WORDS[refusal](case)
    return Rule(refusal.value, is_holding, fact, remedy if is_holding else None)


def _say_blocked(case: Case) -> tuple[str, str]:
    if case.order.is_blocked:
        return "the order is blocked", "unblock the order"
    if case.grant.is_blocked:
        return "the grant is blocked", "unblock the grant"
    if case.order.are_links_stopped:
        return "the app was uninstalled and links_after_uninstall is off", "set links_after_uninstall=on"
    return "neither the order nor the grant is blocked", ""


def _say_standing(case: Case) -> str:
    return f"the order is {case.order.standing.value}"


def _say_cancelled(case: Case) -> tuple[str, str]:
    return _say_standing(case), "reopen the order in the shop"


def _say_risk(case: Case) -> tuple[str, str]:
    level = case.order.risk_level.name.lower()
    blocks_from = case.order.fraud_block.value
    return f"risk {level}, blocked from {blocks_from}", "set fraud_block=none, or have the risk assessed again"


def _say_refunded(case: Case) -> tuple[str, str]:
    if case.grant.quantity is None:
        return _say_standing(case), "mark the order as paid in the shop"
    left = f"{case.grant.remaining} of {case.grant.quantity} left after refunds and edits"
    return f"{_say_standing(case)}, {left}", "sell the line again: a refund cannot be undone"


def _say_unpaid(case: Case) -> tuple[str, str]:
    return _say_standing(case), "mark the order as paid in the shop"


def _say_release(case: Case) -> tuple[str, str]:
    at = case.terms.release_at
    return ("no release date" if at is None else f"released at {_iso(at)}"), "wait, or set release_at=none"


def _say_expiry(case: Case) -> tuple[str, str]:
    at = case.terms.expires_at
    return ("never expires" if at is None else f"expires at {_iso(at)}"), "set expires_at to a later time, or to none"


def _say_uses(case: Case) -> tuple[str, str]:
    limit = case.terms.downloads
    if limit is None:
        return f"used {case.grant.used}, no limit", ""
    more = case.grant.used - limit + 1
    return f"used {case.grant.used} of {limit}", f"+{more} {'download allows' if more == 1 else 'downloads allow'} it"


def _say_addresses(case: Case) -> tuple[str, str]:
    limit = case.order.address_limit
    allowed = "no limit" if limit is None else f"limit {limit}"
    if case.client is None:
        return f"{allowed}; judged without a client", ""
    kind = "a new address" if case.client.is_new_address else "a known address"
    return f"{kind}, {case.client.addresses} so far, {allowed}", "+1 address allows it"


def _say_asset(case: Case) -> tuple[str, str]:
    if case.grant.is_asset_ready:
        return "the asset can be delivered", ""
    return "the asset has no complete version, or was removed", "upload the file"


_WORDS: Final[dict[Refusal, Callable[[Case], tuple[str, str]]]] = {
    Refusal.ACCESS_BLOCKED: _say_blocked,
    Refusal.ORDER_CANCELLED: _say_cancelled,
    Refusal.FRAUD_SUSPECTED: _say_risk,
    Refusal.ORDER_REFUNDED: _say_refunded,
    Refusal.ORDER_NOT_PAID: _say_unpaid,
    Refusal.NOT_YET_AVAILABLE: _say_release,
    Refusal.EXPIRED: _say_expiry,
    Refusal.DOWNLOAD_LIMIT_REACHED: _say_uses,
    Refusal.IP_LIMIT_REACHED: _say_addresses,
    Refusal.ASSET_UNAVAILABLE: _say_asset,
}


def _iso(at: int) -> str:
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)
    except OverflowError:
        return "a time beyond the calendar"
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


# ── the messages that people read

MESSAGES: Final[dict[Refusal, str]] = {
    Refusal.ACCESS_BLOCKED: "Access to this order has been blocked. Please contact the shop.",
    Refusal.ORDER_CANCELLED: "This order was cancelled, so its downloads are no longer available.",
    Refusal.FRAUD_SUSPECTED: "This order is being reviewed. Please contact the shop.",
    Refusal.ORDER_REFUNDED: "This purchase was refunded, so its download is no longer available.",
    Refusal.ORDER_NOT_PAID: "This order is not paid yet. The download becomes available once it is.",
    Refusal.NOT_YET_AVAILABLE: "This download is not available yet. Please come back on its release date.",
    Refusal.EXPIRED: "The time to download this has run out. Please contact the shop.",
    Refusal.DOWNLOAD_LIMIT_REACHED: "The download limit has been reached. Please contact the shop.",
    Refusal.IP_LIMIT_REACHED: "This order was already used from as many places as it allows. Please contact the shop.",
    Refusal.ASSET_UNAVAILABLE: "This file is not available at the moment. Please try again later or contact the shop.",
}


def message(refusal: Refusal, edited: dict[str, str]) -> str:
    """What the buyer reads: the store's own text, else the default."""
    return edited.get(refusal.value) or MESSAGES[refusal]
