import json

import pytest

from carryout.shopify.model import AppUninstalled, DataRequested, Redaction, ShopProfile, ShopRedacted, Subject
from carryout.shopify.translate.shops import (
    read_subject,
    translate_data_request,
    translate_redaction,
    translate_shop,
    translate_shop_redaction,
    translate_uninstall,
)
from tests.shopify.payloads import documented


def test_a_documented_redaction_is_read() -> None:
    said = translate_redaction(json.loads(documented("customers/redact")))
    assert said.facts == Redaction(191167, "john@example.com", (299938, 280263, 220458))
    assert said.subject == Subject(None, 191167, "john@example.com")
    assert said.shop_domain is None  # the example has a placeholder there


def test_a_redaction_by_e_mail_alone_is_enough() -> None:
    said = translate_redaction({"customer": {"email": "john@example.com"}})
    assert said.facts == Redaction(None, "john@example.com", ())


@pytest.mark.parametrize("payload", [{}, [], {"customer": 5, "orders_to_redact": "x"}, {"customer": {"id": 2**64}}])
def test_a_redaction_of_nobody_is_parked(payload: object) -> None:
    said = translate_redaction(payload)
    assert said.facts is None
    assert said.surprises


def test_a_data_request_is_about_its_customer() -> None:
    said = translate_data_request(json.loads(documented("customers/data_request")))
    assert said.facts == DataRequested()
    assert said.subject == Subject(299938, 191167, "john@example.com")


@pytest.mark.parametrize("payload", [None, [], {}, json.loads(documented("app/uninstalled"))])
def test_an_uninstall_is_told_by_its_topic(payload: object) -> None:
    assert translate_uninstall(payload).facts == AppUninstalled()


def test_a_shop_redaction_names_its_shop() -> None:
    said = translate_shop_redaction({"shop_id": 1, "shop_domain": "Mira.myshopify.com"})
    assert said.facts == ShopRedacted()
    assert said.shop_domain == "mira.myshopify.com"


def test_a_shop_tells_its_name() -> None:
    assert translate_shop(json.loads(documented("shop/update"))).facts == ShopProfile("Super Toys")
    assert translate_shop({"name": None}).facts is None


def test_the_subject_of_an_unused_topic_is_found() -> None:
    fulfilment = {"id": 1, "order_id": 5, "email": "john@example.com"}
    assert read_subject("fulfillments/create", fulfilment) == Subject(5, None, "john@example.com")
    assert read_subject("customers/create", {"id": 9, "email": "a@example.com"}) == Subject(None, 9, "a@example.com")
    assert read_subject("carts/create", [1]) == Subject()
