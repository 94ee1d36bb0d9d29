"""Payload to facts, without a look at the world. A payload that surprises is translated as far as it goes."""

from carryout.shopify.model import Translation, Unused
from carryout.shopify.translate.orders import (
    translate_deleted,
    translate_edit,
    translate_order,
    translate_refund,
    translate_risk,
)
from carryout.shopify.translate.products import translate_deleted_product, translate_product
from carryout.shopify.translate.reading import NotJson, TooDeep, parse, parse_time
from carryout.shopify.translate.shops import (
    read_subject,
    translate_data_request,
    translate_redaction,
    translate_shop,
    translate_shop_redaction,
    translate_uninstall,
)

__all__ = ["NotJson", "parse_time", "translate"]


def translate(topic: str, raw: bytes, triggered_at: int, received_at: int) -> Translation:
    """What a delivery says; times are microseconds UTC, a `triggered_at` of 0 is unknown. Errors: `NotJson` alone."""
    try:
        payload = parse(raw)
    except TooDeep:
        return Translation(None, surprises=("the body is nested too deeply",))
    return _translate_orders(topic, payload, triggered_at, received_at) or _translate_rest(topic, payload, triggered_at)


def _translate_orders(topic: str, payload: object, triggered_at: int, received_at: int) -> Translation | None:
    match topic:
        case (
            "orders/create"
            | "orders/paid"
            | "orders/updated"
            | "orders/fulfilled"
            | "orders/partially_fulfilled"
            | "orders/cancelled"
        ):
            return translate_order(payload, triggered_at, received_at)
        case "orders/edited":
            return translate_edit(payload)
        case "orders/delete":
            return translate_deleted(payload)
        case "orders/risk_assessment_changed":
            return translate_risk(payload, triggered_at)
        case "refunds/create":
            return translate_refund(payload)
    return None


def _translate_rest(topic: str, payload: object, triggered_at: int) -> Translation:  # noqa: PLR0911 - one return a topic
    match topic:
        case "products/create" | "products/update":
            return translate_product(payload, triggered_at)
        case "products/delete":
            return translate_deleted_product(payload)
        case "app/uninstalled":
            return translate_uninstall(payload)
        case "shop/update":
            return translate_shop(payload)
        case "shop/redact":
            return translate_shop_redaction(payload)
        case "customers/redact":
            return translate_redaction(payload)
        case "customers/data_request":
            return translate_data_request(payload)
    return Translation(Unused(), read_subject(topic, payload))
