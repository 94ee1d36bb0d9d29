"""The shop that every measured server sells for: the same products, files and orders, made from numbers alone.

Nothing here is random, so two databases filled by two programs hold the same orders, and a load generator
knows every token without asking.
"""

import hashlib
import uuid
from collections.abc import Iterator
from typing import NamedTuple

DOMAIN = "measured.myshopify.com"
WEBHOOK_SECRET = "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"  # noqa: S105 - of a shop that does not exist
TITLE = "Download files for your orders"
TEXT = (
    "Thank you for your order! Your files are ready below. Each link works a few times, on any device; "
    "keep a copy on your computer, and write to us if anything does not open as it should. Videos play best when they "
    "are saved first; the patterns print at their true size when scaling is switched off."
)
DOWNLOAD_LIMIT = 5
PRODUCTS = 400
LINES_PER_ORDER = 3
FIRST_ORDER_ID = 6_198_424_240_428
FIRST_ORDER_NUMBER = 1_001
ORDERED_AT = 1_760_000_000  # seconds; orders are a minute apart

_SUBJECTS = (
    "Watercolour Landscapes",
    "Fingerstyle Guitar",
    "Sourdough at Home",
    "Night Photography",
    "Linen Dressmaking",
)
_KINDS = (
    "The Complete Illustrated Handbook",
    "A Workbook for Beginners",
    "Patterns and Templates",
    "Video Course, Season One",
)
_VARIANTS = (
    "PDF and EPUB, for two devices",
    "Studio licence, up to five seats",
    "Video 1080p with subtitles, 14 lessons",
    "Print at home, A4 and Letter, 300 dpi",
)
_NAMESPACE = uuid.UUID("5c2d1b0e-52a9-4d0c-9c07-3f3f0d6f7a11")


class Product(NamedTuple):
    """A variant with the one file attached to it."""

    number: int
    uid: str
    asset_uid: str
    product_id: int
    variant_id: int
    name: str
    variant_name: str
    sku: str
    vendor: str
    tags: list[str]
    filename: str
    size_bytes: int


class Line(NamedTuple):
    """One line of an order and the right that it gave."""

    line_item_id: int
    product: Product
    grant_uid: str
    used: int


class Order(NamedTuple):
    """A paid order."""

    number: int
    uid: str
    shopify_id: int
    order_number: int
    token: str
    ordered_at: int
    lines: list[Line]


def products() -> list[Product]:
    """Everything that the shop sells."""
    return [_product(number) for number in range(PRODUCTS)]


def orders(count: int) -> Iterator[Order]:
    """The first `count` orders."""
    stock = products()
    for number in range(count):
        digest = hashlib.sha256(b"order %d" % number).digest()
        first, step = digest[16] + 256 * digest[17], 1 + digest[18] % (PRODUCTS // LINES_PER_ORDER - 1)
        yield Order(
            number=number,
            uid=str(uuid.UUID(bytes=digest[:16], version=4)),
            shopify_id=FIRST_ORDER_ID + number * 32_768,
            order_number=FIRST_ORDER_NUMBER + number,
            token=digest[:16].hex(),
            ordered_at=ORDERED_AT + 60 * number,
            lines=[
                Line(
                    line_item_id=15_514_960_888_108 + (number * LINES_PER_ORDER + position) * 32_768,
                    product=stock[(first + position * step) % PRODUCTS],
                    grant_uid=str(uuid.UUID(bytes=digest[10:26][::-1][:15] + bytes([position]), version=4)),
                    used=digest[20 + position] % 3,
                )
                for position in range(LINES_PER_ORDER)
            ],
        )


def tokens(count: int) -> Iterator[str]:
    """The tokens of the first `count` orders, in an order that no cache can follow."""
    numbers = sorted(range(count), key=lambda number: hashlib.blake2b(b"%d" % number, digest_size=8).digest())
    return (hashlib.sha256(b"order %d" % number).digest()[:16].hex() for number in numbers)


def _product(number: int) -> Product:
    subject, kind = _SUBJECTS[number % len(_SUBJECTS)], _KINDS[number // len(_SUBJECTS) % len(_KINDS)]
    variant = _VARIANTS[number % len(_VARIANTS)]
    return Product(
        number=number,
        uid=str(uuid.uuid5(_NAMESPACE, f"product {number}")),
        asset_uid=str(uuid.uuid5(_NAMESPACE, f"asset {number}")),
        product_id=9_782_123_692_332 + number * 32_768,
        variant_id=50_398_373_085_484 + number * 32_768,
        name=f"{subject}: {kind}, Volume {number % 12 + 1} (Second Edition)",
        variant_name=variant,
        sku=f"DL-{subject[:3].upper()}-{number:05d}",
        vendor="Northlight Press and Studio",
        tags=["digital", "download", "instant delivery", subject.lower(), kind.lower(), "new this season", "gift idea"],
        filename=f"{subject} - {kind} - Volume {number % 12 + 1} (Second Edition).pdf",
        size_bytes=1_048_576 * (3 + number % 90),
    )
