import json
from pathlib import Path
from typing import Any

import pytest

from carryout.merchants.model import RiskLevel
from carryout.orders.model import OrderFacts, Person, RefundFacts, Stamp, Standing
from carryout.shopify.model import OrderRefunded, RiskAssessed, Subject
from carryout.shopify.translate.orders import (
    RANKS,
    translate_deleted,
    translate_edit,
    translate_order,
    translate_refund,
    translate_risk,
)
from carryout.shopify.translate.reading import MAX_QUANTITY
from tests.cast import BEA, NOW
from tests.shopify.payloads import (
    CUSTOMER_ID,
    LINE_ID,
    ORDER_ID,
    OTHER_LINE_ID,
    REAL,
    TOKEN,
    VARIANT_ID,
    documented,
    line,
    order,
    refund,
)

TRIGGERED = NOW - 5


def facts_of(payload: object) -> OrderFacts:
    facts = translate_order(payload, TRIGGERED, NOW).facts
    assert isinstance(facts, OrderFacts)
    return facts


def test_an_order_is_read_whole() -> None:
    said = translate_order(order(), TRIGGERED, NOW)
    facts = said.facts
    assert isinstance(facts, OrderFacts)
    assert said.surprises == ()
    assert said.subject == Subject(ORDER_ID, CUSTOMER_ID, BEA.email)
    assert (facts.shopify_id, facts.order_number, facts.name, facts.token) == (ORDER_ID, 1053, "#1053", TOKEN)
    assert facts.standing is Standing.PAID
    assert facts.ordered_at == 1_795_161_600_000_000
    assert facts.stamp == Stamp(facts.ordered_at + 1_000_000, TRIGGERED, RANKS[Standing.PAID])
    assert facts.person == Person(BEA.email, "Bea Buyer", CUSTOMER_ID)
    assert facts.lines is not None
    assert [(item.line_item_id, item.position) for item in facts.lines] == [(LINE_ID, 0), (OTHER_LINE_ID, 1)]
    first = facts.lines[0]
    assert (first.variant_id, first.name, first.variant_name) == (VARIANT_ID, "Field recordings", "Lossless")
    assert (first.sku, first.vendor, first.quantity, first.current_quantity) == ("SKU-1", "Mira", 2, 2)


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_a_real_order_surprises_nobody(path: Path) -> None:
    body = json.loads(path.read_text())
    said = translate_order(body, TRIGGERED, NOW)
    facts = said.facts
    assert isinstance(facts, OrderFacts)
    assert said.surprises == ()
    assert facts.token == body["token"]
    assert facts.lines is not None
    assert len(facts.lines) == len(body["line_items"])
    assert len(facts.refunds) == sum(len(entry["refund_line_items"]) for entry in body["refunds"])


@pytest.mark.parametrize("topic", ["orders/create", "orders/paid", "orders/updated", "orders/fulfilled"])
def test_a_documented_order_is_read(topic: str) -> None:
    facts = facts_of(json.loads(documented(topic)))
    assert facts.shopify_id == 820982911946154508
    assert facts.token == "123456abcd"
    assert facts.standing is Standing.CANCELLED


@pytest.mark.parametrize(
    ("status", "standing"),
    [
        ("paid", Standing.PAID),
        ("partially_refunded", Standing.PAID),
        ("pending", Standing.PENDING),
        ("authorized", Standing.PENDING),
        ("partially_paid", Standing.PENDING),
        ("refunded", Standing.REFUNDED),
        ("voided", Standing.CANCELLED),
        ("expired", Standing.CANCELLED),
        ("something new", Standing.PENDING),
        (None, Standing.PENDING),
        (5, Standing.PENDING),
    ],
)
def test_the_standing_follows_the_payment(status: object, standing: Standing) -> None:
    assert facts_of(order(financial_status=status)).standing is standing


@pytest.mark.parametrize("status", ["paid", "pending", "refunded", "something new"])
def test_cancelled_outranks_the_payment(status: str) -> None:
    facts = facts_of(order(financial_status=status, cancelled_at="2026-11-21T08:00:00Z"))
    assert facts.standing is Standing.CANCELLED


@pytest.mark.parametrize(
    "field", ["customer", "email", "line_items", "updated_at", "created_at", "order_number", "token"]
)
@pytest.mark.parametrize("value", [None, "absent", [], {}, 5.5, True])
def test_a_missing_or_odd_field_leaves_the_rest(field: str, value: object) -> None:
    body = order(**{field: value})
    if value == "absent":
        del body[field]
    facts = facts_of(body)
    assert facts.shopify_id == ORDER_ID
    assert facts.standing is Standing.PAID


def test_lines_that_are_not_told_are_not_lines_that_are_gone() -> None:
    body = order()
    del body["line_items"]
    assert facts_of(body).lines is None
    assert facts_of(order(line_items=[])).lines == ()


@pytest.mark.parametrize("value", [None, 0, -5, 2**63, 1.0, "x", True, [], {}])
def test_an_order_without_a_good_id_cannot_be_applied(value: object) -> None:
    said = translate_order(order(id=value), TRIGGERED, NOW)
    assert said.facts is None
    assert said.surprises
    assert said.subject == Subject(None, CUSTOMER_ID, BEA.email)


def test_an_id_may_come_as_a_gid() -> None:
    assert facts_of(order(id=None, admin_graphql_api_id="gid://shopify/Order/123")).shopify_id == 123


@pytest.mark.parametrize(
    "url",
    [
        f"https://mira.myshopify.com/91740864812/orders/{TOKEN}/authenticate?key=8e02261c6b3b",
        f"https://account.example.com/orders/{TOKEN}/authenticate?key=shcct_abc&locale=en-US",
        f"https://mira.myshopify.com/account/orders/{TOKEN}",
        f"https://checkout.shopify.com/1/orders/{TOKEN}",
    ],
)
def test_the_token_is_found_in_the_status_url(url: str) -> None:
    assert facts_of(order(token=None, order_status_url=url)).token == TOKEN


@pytest.mark.parametrize("url", [None, 5, "", "https://mira.myshopify.com/orders/", "\ud800", "javascript:orders/x"])
def test_without_a_token_there_is_none(url: object) -> None:
    assert facts_of(order(token=None, order_status_url=url)).token is None


def test_a_token_is_kept_byte_for_byte() -> None:
    assert facts_of(order(token=" ABC-caf\u00e9 ")).token == " ABC-caf\u00e9 "


@pytest.mark.parametrize(("quantity", "expected"), [("2", 2), (-1, 0), (10**9, MAX_QUANTITY), (None, 1), ("x", 1)])
def test_an_odd_quantity_marks_the_delivery(quantity: object, expected: int) -> None:
    said = translate_order(order(line_items=[line(quantity=quantity)]), TRIGGERED, NOW)
    assert isinstance(said.facts, OrderFacts)
    assert said.facts.lines is not None
    assert said.facts.lines[0].quantity == expected
    assert said.surprises


def test_a_custom_item_has_no_variant() -> None:
    custom = line(product_id=None, variant_id=None, sku="", title="Tip", variant_title=None, vendor=None)
    said = translate_order(order(line_items=[custom]), TRIGGERED, NOW)
    assert isinstance(said.facts, OrderFacts)
    assert said.facts.lines is not None
    found = said.facts.lines[0]
    assert (found.name, found.product_id, found.variant_id, found.sku) == ("Tip", None, None, None)
    assert said.surprises == ()


def test_the_only_variant_has_no_name() -> None:
    lines = facts_of(order(line_items=[line(variant_title="Default Title")])).lines
    assert lines is not None
    assert lines[0].variant_name is None


def test_a_refund_that_names_a_line_twice_counts_both() -> None:
    twice = refund() | {"refund_line_items": [{"line_item_id": 5, "quantity": 1}, {"line_item_id": 5, "quantity": 2}]}
    assert facts_of(order(refunds=[twice])).refunds == (RefundFacts(1, 5, 3),)
    assert translate_refund(twice).facts == OrderRefunded(ORDER_ID, (RefundFacts(1, 5, 3),))


def test_a_documented_refund_is_read() -> None:
    said = translate_refund(json.loads(documented("refunds/create")))
    assert isinstance(said.facts, OrderRefunded)
    assert said.facts.order_id == 820982911946154500
    assert len(said.facts.refunds) == 5
    assert said.surprises == ()


def test_an_edit_and_a_deletion_name_their_order() -> None:
    assert translate_edit(json.loads(documented("orders/edited"))).subject.order_id == 820982911946154500
    assert translate_deleted(json.loads(documented("orders/delete"))).subject.order_id == 820982911946154500
    assert translate_edit({}).facts is None
    assert translate_deleted([]).facts is None


@pytest.mark.parametrize(
    "place",
    [
        {"order_id": ORDER_ID},
        {"order_id": str(ORDER_ID)},
        {"order_id": f"gid://shopify/Order/{ORDER_ID}"},
        {"admin_graphql_api_order_id": f"gid://shopify/Order/{ORDER_ID}"},
        {"order": {"id": ORDER_ID}},
    ],
)
@pytest.mark.parametrize(
    ("level", "expected"),
    [("HIGH", RiskLevel.HIGH), ("medium", RiskLevel.MEDIUM), ("Low", RiskLevel.LOW), ("PENDING", RiskLevel.NONE)],
)
def test_an_assessment_is_read_in_any_shape(place: dict[str, Any], level: str, expected: RiskLevel) -> None:
    said = translate_risk({**place, "risk_level": level, "provider": None}, TRIGGERED)
    assert said.facts == RiskAssessed(ORDER_ID, "shopify", expected, TRIGGERED)


@pytest.mark.parametrize(
    ("provider", "expected"),
    [("Acme", "Acme"), ({"title": "Acme"}, "Acme"), ({"id": 5}, "5"), ({}, "shopify"), (0, "shopify")],
)
def test_an_assessment_has_a_provider(provider: object, expected: str) -> None:
    said = translate_risk({"order_id": ORDER_ID, "risk_level": "low", "provider": provider}, TRIGGERED)
    assert isinstance(said.facts, RiskAssessed)
    assert said.facts.provider == expected


@pytest.mark.parametrize(
    "payload", [{}, {"order_id": ORDER_ID}, {"risk_level": "HIGH"}, [], {"order_id": 1, "risk_level": "!"}]
)
def test_an_assessment_that_cannot_be_read_is_parked(payload: object) -> None:
    assert translate_risk(payload, TRIGGERED).facts is None
