import msgspec

from carryout.catalog.model import Asset, AssetVersion, Product
from carryout.catalog.shapes import asset_shape, product_shape, shown_size, version_shape
from tests.cast import NOW

UID = "82664d96-6dfd-4343-96b0-05c46f412a5b"
LINK = Asset(1, UID, True, "My new book", "10MB", 10_000_000, "https://example.com/", 3, None, NOW, NOW)  # noqa: FBT003 - it is a row
PRODUCT = Product(1, UID, 123456, 1234567, "My new Book", "Paper back", "my-sku", "my-store", ("books",))


def test_a_size_is_bytes_or_in_the_old_dialect_a_text() -> None:
    assert asset_shape(LINK, is_old=False)["size"] == 10_000_000
    assert asset_shape(LINK, is_old=True)["size"] == "10MB"
    assert version_shape(AssetVersion(1, b"\1" * 32, 1500, NOW), is_old=False)["size"] == 1500
    assert version_shape(AssetVersion(1, b"\1" * 32, 1500, NOW), is_old=True)["size"] == "1.5KB"


def test_a_size_that_nobody_put_into_words_is_shown_from_its_bytes() -> None:
    assert shown_size(msgspec.structs.replace(LINK, size_text=None)) == "10MB"
    assert shown_size(msgspec.structs.replace(LINK, size_text=None, size_bytes=None)) == "unknown"


def test_what_is_attached_is_shown_where_it_was_asked_for() -> None:
    assert "products" not in asset_shape(LINK, is_old=True)
    assert asset_shape(LINK, is_old=True, products=[PRODUCT])["products"] == [product_shape(PRODUCT)]
    assert "assets" not in product_shape(PRODUCT)
    assert product_shape(PRODUCT, is_old=True, assets=[LINK])["assets"] == [asset_shape(LINK, is_old=True)]


def test_limits_are_shown_as_they_are_set() -> None:
    assert asset_shape(LINK, is_old=False)["limits"] == {
        "downloads": 3,
        "expires_days": None,
        "release_at": "2026-11-24T16:12:50Z",
    }
