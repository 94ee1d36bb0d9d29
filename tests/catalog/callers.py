"""What the documents of the API show of a catalog, and a client that walks its lists."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import httpx

from carryout.catalog.model import ProductFacts
from tests.cast import NOW

URL: Final = "https://www.my-website.com/download/my-book.pdf"
# As the two generations of the documentation have it.
OLD_LINK: Final = {"filename": "My new book", "size": "10MB", "url": URL}
NEW_LINK: Final = {"type": "link", "filename": "My new book", "size": 10_000_000, "url": URL}
BOOK_EXAMPLE: Final = ProductFacts(
    product_id=123456,
    variant_id=1234567,
    name="My new Book",
    variant_name="Paper back",
    sku="my-sku",
    vendor="my-store",
    tags=("books", "paper-books"),
    updated_at=NOW,
)
NOBODYS: Final = "82664d96-6dfd-4343-96b0-05c46f412a5b"

Opening = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


async def ids(client: httpx.AsyncClient, path: str) -> list[str]:
    """The ids on every page, found by following `links.next`."""
    found: list[str] = []
    target: str | None = path
    while target:
        page = (await client.get(target)).json()
        found += [row["id"] for row in page["data"]]
        following = page["links"]["next"]
        target = None if following is None else following.removeprefix("http://host/api/v1")
    return found
