"""Makers of products and assets: they take the owner, and only what the test is about."""

from collections.abc import Sequence

from carryout.catalog import service
from carryout.catalog.model import Asset, ProductFacts
from carryout.db import Tx
from carryout.storage import Blob
from tests.cast import NOW

BOOK = ProductFacts(product_id=100, variant_id=101, name="Book", variant_name="EPUB", sku="book-epub", updated_at=NOW)
BOOK_PDF = ProductFacts(product_id=100, variant_id=102, name="Book", variant_name="PDF", sku="book-pdf", updated_at=NOW)
SONG = ProductFacts(product_id=200, variant_id=201, name="Song", sku="song", updated_at=NOW)


async def make_products(tx: Tx, store_id: int, facts: Sequence[ProductFacts] = (BOOK, BOOK_PDF, SONG)) -> None:
    """Products that the shop has told about."""
    await service.record_products(tx, store_id, facts)


async def make_file(tx: Tx, store_id: int, filename: str = "book.epub") -> Asset:
    """A file asset of 10 MB."""
    return await service.add_file(tx, store_id, filename, Blob(b"\1" * 32, 1, 10_000_000), NOW)
