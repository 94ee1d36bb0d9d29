import json
from typing import Any

import pytest

from carryout.catalog.model import ProductFacts
from carryout.shopify.model import ProductDeleted, ProductSeen
from carryout.shopify.translate.products import translate_deleted_product, translate_product
from tests.cast import NOW
from tests.shopify.payloads import documented


def product(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": 7,
        "title": "Field recordings",
        "vendor": "Mira",
        "tags": "audio, nature",
        "updated_at": "1970-01-01T00:00:09Z",
        "variants": [{"id": 8, "title": "Default Title", "sku": "SKU-1"}],
    }
    return body | changes


def variants_of(payload: object) -> tuple[ProductFacts, ...]:
    facts = translate_product(payload, NOW).facts
    assert isinstance(facts, ProductSeen)
    return facts.variants


def test_each_variant_becomes_a_row() -> None:
    (variant,) = variants_of(product())
    assert variant == ProductFacts(
        product_id=7,
        variant_id=8,
        name="Field recordings",
        variant_name=None,
        sku="SKU-1",
        vendor="Mira",
        tags=("audio", "nature"),
        updated_at=9_000_000,
    )


@pytest.mark.parametrize("topic", ["products/create", "products/update"])
def test_a_documented_product_is_read(topic: str) -> None:
    variants = variants_of(json.loads(documented(topic)))
    assert [variant.variant_name for variant in variants] == ["Small", "Medium"]
    assert {variant.product_id for variant in variants} == {788032119674292922}
    assert variants[0].tags == ("example", "mens", "t-shirt")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [("", ()), (None, ()), (["a", " b ", "a", ""], ("a", "b")), ("a,b", ("a", "b")), (5, ()), ([1, "a"], ("a",))],
)
def test_tags_are_a_text_or_a_list(tags: object, expected: tuple[str, ...]) -> None:
    (variant,) = variants_of(product(tags=tags))
    assert variant.tags == expected


def test_variants_known_by_id_only_are_left_as_they_are() -> None:
    gids = [{"admin_graphql_api_id": "gid://shopify/ProductVariant/99"}]
    assert [variant.variant_id for variant in variants_of(product(variant_gids=gids))] == [8]


def test_a_product_without_variants_says_nothing_of_any() -> None:
    assert variants_of(product(variants=[])) == ()


@pytest.mark.parametrize("changes", [{"id": None}, {"id": 2**64}, {"variants": None}])
def test_a_product_that_cannot_be_told_is_parked(changes: dict[str, object]) -> None:
    said = translate_product(product(**changes), NOW)
    assert said.facts is None
    assert said.surprises


def test_a_deleted_product_is_named() -> None:
    assert translate_deleted_product({"id": 7}).facts == ProductDeleted(7)
    assert translate_deleted_product({}).facts is None
