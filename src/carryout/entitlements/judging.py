"""The facts of an order and its grants as the verdict wants them, and the verdict on every grant of an order."""

from typing import Final, Generic

import msgspec

from carryout.entitlements import rules
from carryout.entitlements.model import (
    UNSET,
    AnyGrant,
    ClientFacts,
    CustomerView,
    GrantFacts,
    GrantView,
    Offer,
    OrderFacts,
    OrderView,
    Refusal,
    Rule,
    Terms,
)
from carryout.merchants.model import RiskLevel

_NOTHING_SET: Final = (None, None, None)


def order_facts(view: OrderView) -> OrderFacts:
    """What the verdict looks at in this order."""
    own = view.own_downloads, view.own_expires_at, view.own_release_at
    return OrderFacts(
        standing=view.standing,
        is_blocked=view.blocked_at is not None,
        are_links_stopped=view.uninstalled_at is not None and not view.settings.links_after_uninstall,
        risk_level=RiskLevel(view.risk_rank),
        fraud_block=view.settings.fraud_block,
        own=UNSET if own == _NOTHING_SET else Terms(*own),
        address_limit=rules.address_limit(view.own_addresses, view.address_limit),
    )


def grant_facts(view: Offer) -> GrantFacts:
    """What the verdict looks at in this grant."""
    return GrantFacts(
        used=view.used,
        base=Terms(view.base_downloads, view.base_expires_at, view.base_release_at),
        own=_own(view),
        is_per_unit=view.is_per_unit,
        is_blocked=view.blocked_at is not None,
        quantity=view.quantity,
        remaining=view.remaining,
        is_asset_ready=view.removed_at is None and (view.is_link or view.completed_at is not None),
    )


def _own(view: Offer) -> Terms:
    own = view.own_downloads, view.own_expires_at, view.own_release_at
    return UNSET if own == _NOTHING_SET else Terms(*own)


class Judged(msgspec.Struct, Generic[AnyGrant], frozen=True):
    """A grant with the verdict of now and the terms in force (None: no limit); times are microseconds UTC."""

    grant: AnyGrant
    refusal: Refusal | None
    message: str | None
    limit: int | None
    expires_at: int | None
    release_at: int | None


def judge(view: CustomerView[AnyGrant], now: int, client: ClientFacts | None = None) -> list[Judged[AnyGrant]]:
    """Every grant of an order, as a face without a client judges it, or for a client."""
    order = order_facts(view.order)
    messages = view.order.settings.messages
    asked = rules.to_ask(order)
    judged = []
    for grant in view.grants:
        facts = grant_facts(grant)
        terms = rules.effective(order, facts)
        refusal = rules.first_refusal(rules.Case(order, facts, terms, client, now), asked)
        text = None if refusal is None else rules.message(refusal, messages)
        judged.append(Judged(grant, refusal, text, terms.downloads, terms.expires_at, terms.release_at))
    return judged


class Explained(msgspec.Struct, frozen=True):
    """A grant, its verdict and every rule that was asked."""

    grant: GrantView
    verdict: str
    rules: list[Rule]


def explain(view: CustomerView[GrantView], now: int) -> list[Explained]:
    """The table of rules for every grant of an order."""
    order = order_facts(view.order)
    explained = []
    for grant in view.grants:
        facts = grant_facts(grant)
        refusal = rules.verdict(order, facts, None, now)
        verdict = "allowed" if refusal is None else refusal.value
        explained.append(Explained(grant, verdict, rules.explain(order, facts, None, now)))
    return explained
