import itertools
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryout.entitlements import rules
from carryout.entitlements.model import NO_LIMIT, UNSET, ClientFacts, GrantFacts, OrderFacts, Refusal, Terms
from carryout.merchants.model import MESSAGE_CODES, FraudBlock, RiskLevel
from carryout.orders.model import Standing
from tests.cast import NOW

PAID: Final = OrderFacts(standing=Standing.PAID)
FRESH: Final = GrantFacts(used=0)
REFUSALS: Final = tuple(Refusal)
DAY: Final = 86_400_000_000

# For each refusal, what makes it hold: changes of the order, the grant and the client. Of the two standings that
# exclude each other, the line's refund stands for "refunded".
HOLDING: Final[dict[Refusal, tuple[dict[str, Any], dict[str, Any]]]] = {
    Refusal.ACCESS_BLOCKED: ({"is_blocked": True}, {}),
    Refusal.ORDER_CANCELLED: ({"standing": Standing.CANCELLED}, {}),
    Refusal.FRAUD_SUSPECTED: ({"risk_level": RiskLevel.HIGH, "fraud_block": FraudBlock.MEDIUM}, {}),
    Refusal.ORDER_REFUNDED: ({}, {"quantity": 1, "remaining": 0}),
    Refusal.ORDER_NOT_PAID: ({"standing": Standing.PENDING}, {}),
    Refusal.NOT_YET_AVAILABLE: ({}, {"release_at": NOW + 1}),
    Refusal.EXPIRED: ({}, {"expires_at": NOW}),
    Refusal.DOWNLOAD_LIMIT_REACHED: ({}, {"downloads": 1, "used": 1}),
    Refusal.IP_LIMIT_REACHED: ({"address_limit": 2}, {}),
    Refusal.ASSET_UNAVAILABLE: ({}, {"is_asset_ready": False}),
}
NEW_CLIENT: Final = ClientFacts(is_new_address=True, addresses=2)

# All but the one that cannot be: an order stands in one place at a time.
PAIRS: Final = tuple(
    pair for pair in itertools.combinations(REFUSALS, 2) if pair != (Refusal.ORDER_CANCELLED, Refusal.ORDER_NOT_PAID)
)


def facts_of(*refusals: Refusal) -> tuple[OrderFacts, GrantFacts]:
    """An order and a grant for which these refusals hold, and no other."""
    order: dict[str, Any] = {}
    grant: dict[str, Any] = {}
    for refusal in refusals:
        order |= HOLDING[refusal][0]
        grant |= HOLDING[refusal][1]
    terms = Terms(**{name: grant.pop(name) for name in Terms.__struct_fields__ if name in grant})
    return msgspec.structs.replace(PAID, **order), msgspec.structs.replace(FRESH, base=terms, **grant)


limits = st.sampled_from([None, NO_LIMIT, 0, 1, 2, 7])
times = st.sampled_from([None, NO_LIMIT, 0, NOW - 1, NOW, NOW + 1])
terms = st.builds(Terms, downloads=limits, expires_at=times, release_at=times)
orders = st.builds(
    OrderFacts,
    standing=st.sampled_from(Standing),
    is_blocked=st.booleans(),
    are_links_stopped=st.booleans(),
    risk_level=st.sampled_from(RiskLevel),
    fraud_block=st.sampled_from(FraudBlock),
    own=terms,
    address_limit=st.sampled_from([None, 0, 1, 2]),
)
grants = st.builds(
    GrantFacts,
    used=st.integers(0, 9),
    base=st.builds(Terms, downloads=st.sampled_from([None, 0, 1, 3]), expires_at=times, release_at=times),
    own=terms,
    is_per_unit=st.booleans(),
    is_blocked=st.booleans(),
    quantity=st.sampled_from([None, 1, 3]),
    remaining=st.sampled_from([None, 0, 1, 3]),
    is_asset_ready=st.booleans(),
)
clients = st.none() | st.builds(
    ClientFacts, is_new_address=st.booleans(), addresses=st.integers(0, 3), has_open_session=st.booleans()
)


# ── the verdict


def test_a_paid_order_without_limits_is_allowed() -> None:
    assert rules.verdict(PAID, FRESH, None, NOW) is None
    assert rules.verdict(PAID, FRESH, NEW_CLIENT, NOW) is None


@pytest.mark.parametrize("refusal", REFUSALS)
def test_every_refusal_holds_alone(refusal: Refusal) -> None:
    order, grant = facts_of(refusal)
    assert rules.verdict(order, grant, NEW_CLIENT, NOW) is refusal


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_the_first_of_two_refusals_is_given(first: Refusal, second: Refusal) -> None:
    order, grant = facts_of(first, second)
    assert rules.verdict(order, grant, NEW_CLIENT, NOW) is first


def test_the_refusals_stand_in_the_documented_order_and_each_has_a_rule() -> None:
    assert tuple(refusal.value for refusal in Refusal) == MESSAGE_CODES
    assert tuple(refusal for refusal, _ in rules.RULES) == REFUSALS


@given(orders, grants, clients, st.integers(0, 2**62))
def test_what_need_not_be_asked_never_decides(
    order: OrderFacts, grant: GrantFacts, client: ClientFacts | None, now: int
) -> None:
    case = rules.Case(order, grant, rules.effective(order, grant), client, now)
    assert rules.first_refusal(case, rules.to_ask(order)) is rules.verdict(order, grant, client, now)


@given(orders, grants)
def test_terms_that_nobody_set_change_nothing(order: OrderFacts, grant: GrantFacts) -> None:
    order, grant = msgspec.structs.replace(order, own=Terms()), msgspec.structs.replace(grant, own=Terms())
    bare = rules.effective(msgspec.structs.replace(order, own=UNSET), msgspec.structs.replace(grant, own=UNSET))
    assert bare == rules.effective(order, grant)


@given(orders, grants, clients, st.integers(0, 2**62))
def test_the_verdict_and_its_explanation_are_total_and_agree(
    order: OrderFacts, grant: GrantFacts, client: ClientFacts | None, now: int
) -> None:
    refusal = rules.verdict(order, grant, client, now)
    explained = rules.explain(order, grant, client, now)
    assert [rule.code for rule in explained] == list(MESSAGE_CODES)
    holding = [rule.code for rule in explained if rule.holds]
    assert (holding[0] if holding else None) == (refusal and refusal.value)
    assert all(rule.fact for rule in explained)
    assert all(bool(rule.remedy) == rule.holds for rule in explained)


@given(orders, grants, clients)
def test_a_use_more_or_a_later_time_never_opens_what_was_closed_by_it(
    order: OrderFacts, grant: GrantFacts, client: ClientFacts | None
) -> None:
    once_more = msgspec.structs.replace(grant, used=grant.used + 1)
    if rules.verdict(order, grant, client, NOW) is Refusal.DOWNLOAD_LIMIT_REACHED:
        assert rules.verdict(order, once_more, client, NOW) is Refusal.DOWNLOAD_LIMIT_REACHED
    if rules.verdict(order, grant, client, NOW) is Refusal.EXPIRED:
        assert rules.verdict(order, grant, client, NOW + DAY) is Refusal.EXPIRED


@given(orders, grants, clients)
def test_what_refuses_more_never_allows_more(order: OrderFacts, grant: GrantFacts, client: ClientFacts | None) -> None:
    """Blocking, a worse risk, an asset that goes missing: none of them opens a closed grant."""
    if rules.verdict(order, grant, client, NOW) is None:
        return
    worse = (
        (msgspec.structs.replace(order, is_blocked=True), grant),
        (msgspec.structs.replace(order, are_links_stopped=True), grant),
        (msgspec.structs.replace(order, risk_level=RiskLevel.HIGH), grant),
        (order, msgspec.structs.replace(grant, is_blocked=True)),
        (order, msgspec.structs.replace(grant, is_asset_ready=False)),
        (order, msgspec.structs.replace(grant, used=grant.used + 1)),
        (order, msgspec.structs.replace(grant, quantity=grant.quantity, remaining=0)),
    )
    assert all(rules.verdict(one, other, client, NOW) is not None for one, other in worse)


@given(orders, grants)
def test_a_face_without_a_client_judges_as_a_new_client_and_knows_no_addresses(
    order: OrderFacts, grant: GrantFacts
) -> None:
    refusal = rules.verdict(order, grant, None, NOW)
    assert refusal is not Refusal.IP_LIMIT_REACHED
    unlimited = msgspec.structs.replace(order, address_limit=None)
    assert refusal is rules.verdict(unlimited, grant, NEW_CLIENT, NOW)


@given(orders, grants, clients, st.integers(0, 2**62))
def test_what_stops_a_running_download_is_what_refuses_it_first_of_all(
    order: OrderFacts, grant: GrantFacts, client: ClientFacts | None, now: int
) -> None:
    refusal = rules.verdict(order, grant, client, now)
    assert rules.stop(order, grant) is (refusal if refusal in rules.STOPS else None)


# ── boundaries


@pytest.mark.parametrize(("used", "is_allowed"), [(0, True), (2, True), (3, False), (4, False)])
def test_uses_end_at_the_limit(used: int, is_allowed: bool) -> None:  # noqa: FBT001 - a column of the table
    grant = GrantFacts(used=used, base=Terms(downloads=3))
    assert (rules.verdict(PAID, grant, None, NOW) is None) is is_allowed


def test_a_limit_of_zero_means_no_downloads() -> None:
    grant = GrantFacts(used=0, base=Terms(downloads=0))
    assert rules.verdict(PAID, grant, None, NOW) is Refusal.DOWNLOAD_LIMIT_REACHED


def test_a_grant_expires_at_its_time_and_not_before() -> None:
    grant = GrantFacts(used=0, base=Terms(expires_at=NOW))
    assert rules.verdict(PAID, grant, None, NOW - 1) is None
    assert rules.verdict(PAID, grant, None, NOW) is Refusal.EXPIRED


def test_a_grant_is_released_at_its_time_and_not_before() -> None:
    grant = GrantFacts(used=0, base=Terms(release_at=NOW))
    assert rules.verdict(PAID, grant, None, NOW - 1) is Refusal.NOT_YET_AVAILABLE
    assert rules.verdict(PAID, grant, None, NOW) is None


def test_an_open_session_needs_no_further_use() -> None:
    grant = GrantFacts(used=3, base=Terms(downloads=3))
    client = ClientFacts(is_new_address=False, addresses=1, has_open_session=True)
    assert rules.verdict(PAID, grant, client, NOW) is None


@pytest.mark.parametrize(
    ("is_new", "addresses", "is_allowed"), [(True, 1, True), (True, 2, False), (False, 2, True), (False, 9, True)]
)
def test_only_a_new_address_can_be_one_too_many(is_new: bool, addresses: int, is_allowed: bool) -> None:  # noqa: FBT001 - columns of the table
    order = OrderFacts(standing=Standing.PAID, address_limit=2)
    assert (rules.verdict(order, FRESH, ClientFacts(is_new, addresses), NOW) is None) is is_allowed


@pytest.mark.parametrize("standing", [Standing.PAID, Standing.REFUNDED])
def test_the_orders_own_grant_ends_with_the_order_alone(standing: Standing) -> None:
    refusal = rules.verdict(OrderFacts(standing=standing), GrantFacts(used=0), None, NOW)
    assert refusal is (None if standing is Standing.PAID else Refusal.ORDER_REFUNDED)


@pytest.mark.parametrize(
    ("block", "level", "is_allowed"),
    [
        (FraudBlock.NONE, RiskLevel.HIGH, True),
        (FraudBlock.MEDIUM, RiskLevel.LOW, True),
        (FraudBlock.MEDIUM, RiskLevel.MEDIUM, False),
        (FraudBlock.HIGH, RiskLevel.MEDIUM, True),
        (FraudBlock.HIGH, RiskLevel.HIGH, False),
    ],
)
def test_a_risk_at_the_stores_level_is_refused(block: FraudBlock, level: RiskLevel, is_allowed: bool) -> None:  # noqa: FBT001 - a column of the table
    order = OrderFacts(standing=Standing.PAID, risk_level=level, fraud_block=block)
    assert (rules.verdict(order, FRESH, None, NOW) is None) is is_allowed


# ── terms


@pytest.mark.parametrize(
    ("own", "order", "base", "expected"),
    [
        (None, None, None, None),
        (None, None, 5, 5),
        (None, 0, 5, 0),
        (None, NO_LIMIT, 5, None),
        (3, NO_LIMIT, 5, 3),
        (NO_LIMIT, 0, 5, None),
        (0, 9, None, 0),
    ],
)
def test_the_nearest_terms_count(own: int | None, order: int | None, base: int | None, expected: int | None) -> None:
    facts = OrderFacts(standing=Standing.PAID, own=Terms(order, order, order))
    grant = GrantFacts(used=0, own=Terms(own, own, own), base=Terms(base, base, base))
    effective = rules.effective(facts, grant)
    assert (effective.downloads, effective.expires_at, effective.release_at) == (expected, expected, expected)


def test_a_limit_per_unit_multiplies_the_snapshot_and_nothing_else() -> None:
    grant = GrantFacts(used=0, base=Terms(downloads=2), is_per_unit=True, quantity=3, remaining=1)
    assert rules.effective(PAID, grant).downloads == 6
    own = msgspec.structs.replace(grant, own=Terms(downloads=2))
    assert rules.effective(PAID, own).downloads == 2
    of_order = msgspec.structs.replace(grant, quantity=None, remaining=None)
    assert rules.effective(PAID, of_order).downloads == 2
    assert rules.effective(PAID, msgspec.structs.replace(grant, base=Terms())).downloads is None


def test_a_snapshot_takes_the_assets_limits_else_the_stores() -> None:
    assert rules.snapshot(Terms(), 5, 30, NOW) == Terms(5, NOW + 30 * DAY, None)
    assert rules.snapshot(Terms(0, 0, 7), 5, 30, NOW) == Terms(0, NOW, 7)
    assert rules.snapshot(Terms(), None, None, NOW) == Terms()
    assert rules.snapshot(Terms(), None, 10**18, NOW).expires_at == 2**62


@pytest.mark.parametrize(
    ("own", "kept", "expected"), [(None, None, None), (None, 2, 2), (0, 2, 0), (NO_LIMIT, 2, None)]
)
def test_an_orders_own_number_of_addresses_counts_first(
    own: int | None, kept: int | None, expected: int | None
) -> None:
    assert rules.address_limit(own, kept) == expected


# ── the explanation


@pytest.mark.parametrize(
    ("used", "limit", "fact", "remedy"),
    [
        (3, 3, "used 3 of 3", "+1 download allows it"),
        (5, 3, "used 5 of 3", "+3 downloads allow it"),
        (0, 0, "used 0 of 0", "+1 download allows it"),
        (2, 3, "used 2 of 3", None),
        (2, None, "used 2, no limit", None),
    ],
)
def test_the_limit_is_explained_with_what_would_change_it(
    used: int, limit: int | None, fact: str, remedy: str | None
) -> None:
    explained = rules.explain(PAID, GrantFacts(used=used, base=Terms(downloads=limit)), None, NOW)
    (rule,) = [rule for rule in explained if rule.code == "download_limit_reached"]
    assert (rule.fact, rule.remedy) == (fact, remedy)


@given(st.integers(0, 20), st.integers(0, 20))
def test_so_many_downloads_more_do_allow_it(used: int, limit: int) -> None:
    grant = GrantFacts(used=used, base=Terms(downloads=limit))
    (rule,) = [rule for rule in rules.explain(PAID, grant, None, NOW) if rule.code == "download_limit_reached"]
    if rule.remedy is not None:
        more = int(rule.remedy.split()[0])
        raised = msgspec.structs.replace(grant, own=Terms(downloads=limit + more))
        assert rules.verdict(PAID, raised, None, NOW) is None


@pytest.mark.parametrize("refusal", REFUSALS)
def test_every_refusal_has_words_and_a_store_may_have_its_own(refusal: Refusal) -> None:
    assert rules.message(refusal, {}) == rules.MESSAGES[refusal]
    assert rules.message(refusal, {refusal.value: "Call us"}) == "Call us"
    assert rules.message(refusal, {refusal.value: ""}) == rules.MESSAGES[refusal]
