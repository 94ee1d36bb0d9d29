from urllib.parse import urlsplit

import msgspec

from carryout.catalog import service
from carryout.catalog.model import Asset
from carryout.db import Database, Tx
from carryout.merchants.model import Dialect, Store
from tests.cast import NOW, OTHER
from tests.catalog.callers import BOOK_EXAMPLE, NOBODYS, OLD_LINK, URL, Opening, ids
from tests.catalog.makers import BOOK, make_file, make_products
from tests.merchants.makers import make_store

# ── lists


async def make_links(database: Database, store: Store, count: int) -> list[Asset]:
    async def make(tx: Tx) -> list[Asset]:
        return [await service.add_link(tx, store.id, URL, f"Book {number}", None, NOW) for number in range(count)]

    return await database.write(make)


async def test_a_page_is_as_laravel_has_it(opened: Opening, database: Database, store: Store) -> None:
    made = await make_links(database, store, 76)
    async with opened() as client:
        page = (await client.get("/assets?with_products=true")).json()
        path = "http://host/api/v1/assets"
        following = page["links"].pop("next")
        assert following.startswith(f"{path}?with_products=true&page=2&cursor=")
        assert page["links"] == {
            "first": f"{path}?with_products=true&page=1",
            "last": f"{path}?with_products=true&page=4",
            "prev": None,
        }
        links = page["meta"].pop("links")
        assert page["meta"] == {
            "current_page": 1, "from": 1, "last_page": 4, "path": path, "per_page": 25, "to": 25, "total": 76,
        }  # fmt: skip
        assert [link["label"] for link in links] == ["&laquo; Previous", "1", "2", "3", "4", "Next &raquo;"]
        assert (links[0], links[-1]["url"]) == ({"url": None, "label": "&laquo; Previous", "active": False}, following)
        assert page["data"][0]["products"] == []
        assert await ids(client, "/assets") == [asset.uid for asset in made]
        assert await ids(client, "/assets?limit=30") == [asset.uid for asset in made]


async def test_pages_by_number_and_odd_sizes_are_borne(opened: Opening, database: Database, store: Store) -> None:
    made = [asset.uid for asset in await make_links(database, store, 101)]
    wanted = {
        "page=2&per_page=3": made[3:6],
        "page=2&limit=3": made[3:6],
        "page=2&limit=3&cursor=nonsense": made[3:6],
        "limit=1000?": made,
        "limit=99999": made,
        "per_page=1000": made[:100],
        "per_page=0&page=-1": made[:25],
        "page=x&per_page=y": made[:25],
        "page=99&per_page=100": [],
        f"page={10**30}": [],
    }
    async with opened() as client:
        for query, expected in wanted.items():
            page = (await client.get(f"/assets?{query}")).json()
            assert [row["id"] for row in page["data"]] == expected, query
            assert page["meta"]["total"] == 101
            assert (page["meta"]["from"] is None) is (not expected)


async def test_nothing_comes_twice_or_is_missed_while_rows_are_added(
    opened: Opening, database: Database, store: Store
) -> None:
    made = [asset.uid for asset in await make_links(database, store, 20)]
    async with opened() as client:
        found: list[str] = []
        target: str | None = "/assets?per_page=6"
        while target:
            page = (await client.get(target)).json()
            found += [row["id"] for row in page["data"]]
            if len(found) < 20:
                await make_links(database, store, 1)
                gone = await database.read(service.find_asset, store.id, found[0])
                await database.write(service.remove_asset, store.id, gone.id, NOW)
                made.remove(found.pop(0))
            following = page["links"]["next"]
            target = following and urlsplit(following).path.removeprefix("/api/v1") + "?" + urlsplit(following).query
    assert found[: len(made)] == made
    assert len(found) == len(set(found)) == len(made) + 3


async def test_assets_are_found_by_a_part_of_their_name(opened: Opening, database: Database, store: Store) -> None:
    async def make(tx: Tx) -> None:
        for name in ("My Book.pdf", "100%.pdf", "a_b.pdf", "axb.pdf", "Other"):
            await service.add_link(tx, store.id, URL, name, None, NOW)

    await database.write(make)
    wanted = {"book": ["My Book.pdf"], "%25": ["100%.pdf"], "a_b": ["a_b.pdf"], "%00pdf": [], "zzz": []}
    wanted |= {"": ["My Book.pdf", "100%.pdf", "a_b.pdf", "axb.pdf", "Other"]}
    wanted["%00pdf"] = ["My Book.pdf", "100%.pdf", "a_b.pdf", "axb.pdf"]  # what cannot be stored is left out
    async with opened() as client:
        for text, names in wanted.items():
            page = (await client.get(f"/assets?filename={text}")).json()
            assert [row["filename"] for row in page["data"]] == names, text
            assert page["meta"]["total"] == len(names)
        page = (await client.get("/assets?filename=pdf&per_page=3")).json()
        assert "filename=pdf&per_page=3&page=2&cursor=" in page["links"]["next"]


# ── products


async def test_a_product_is_shown_as_the_documents_show_it(opened: Opening, database: Database, store: Store) -> None:
    await database.write(make_products, store.id, [BOOK_EXAMPLE])
    async with opened() as client:
        shown = (await client.get("/products")).json()["data"][0]
        assert shown == {
            "id": shown["id"],
            "name": "My new Book",
            "variant_name": "Paper back",
            "sku": "my-sku",
            "product_id": 123456,
            "variant_id": 1234567,
            "vendor": "my-store",
            "tags": ["books", "paper-books"],
        }
        assert (await client.get(f"/products/{shown['id']}")).json() == {"data": shown}


async def test_products_are_filtered(opened: Opening, database: Database, store: Store) -> None:
    odd = msgspec.structs.replace(BOOK, variant_id=7, name="Odd", variant_name=None, tags=('a","b', "c\\", "100%"))
    await database.write(make_products, store.id, [BOOK_EXAMPLE, BOOK, odd])
    gone = msgspec.structs.replace(BOOK, product_id=900, variant_id=901)
    await database.write(make_products, store.id, [gone])
    await database.write(service.delete_product, store.id, 900, NOW)
    wanted = {
        "": [1234567, 101, 7],
        "name=new+book": [1234567],
        "name=PAPER": [1234567],
        "name=epub": [101],
        "sku=my-sku": [1234567],
        "sku=my": [],
        "product_id=123456&limit=1000?": [1234567],
        "product_id=100": [101, 7],
        "product_id=x": [],
        f"product_id={2**63}": [],
        "vendor=my-store": [1234567],
        "tag=books": [1234567],
        "tag=paper-books": [1234567],
        "tag=book": [],
        "tag=b": [],
        "tag=c%5C": [7],
        "tag=100%25": [7],
        "tag=a%22%2C%22b": [7],
        "sku=my-sku&tag=books&name=new&vendor=my-store&product_id=123456": [1234567],
        "sku=my-sku&tag=other": [],
    }
    async with opened() as client:
        for query, variants in wanted.items():
            page = (await client.get(f"/products?{query}")).json()
            assert [row["variant_id"] for row in page["data"]] == sorted(variants), query
            assert page["meta"]["total"] == len(variants)


async def test_what_is_attached_is_shown_on_both_sides(opened: Opening, database: Database, store: Store) -> None:
    await database.write(make_products, store.id)
    whole, one = await make_links(database, store, 2)

    async def attach(tx: Tx) -> None:
        await service.attach(tx, store.id, whole.id, product_ids=[100], variant_ids=[101], now=NOW)
        await service.attach(tx, store.id, one.id, skus=["book-pdf"], now=NOW)

    await database.write(attach)
    async with opened(Dialect.OLD) as client:
        assets = (await client.get("/assets?with_products=1")).json()["data"]
        assert [[row["sku"] for row in asset["products"]] for asset in assets] == [
            ["book-epub", "book-pdf"],
            ["book-pdf"],
        ]
        products = (await client.get("/products?with_assets=true")).json()["data"]
        shown = {row["sku"]: [asset["id"] for asset in row["assets"]] for row in products}
        assert shown == {"book-epub": [whole.uid], "book-pdf": [whole.uid, one.uid], "song": []}
        assert products[0]["assets"][0]["size"] == "unknown"
        path = f"/products/{products[0]['id']}"
        assert (await client.get(f"{path}?with_assets=true")).json()["data"] == products[0]
        assert "assets" not in (await client.get(path)).json()["data"]


# ── whose they are


async def test_what_is_another_stores_is_not_found(opened: Opening, database: Database, store: Store) -> None:
    other = await database.write(make_store, OTHER)
    await database.write(make_products, store.id)
    asset = await database.write(make_file, store.id)
    product = (await database.read(service.list_by_variant, store.id, [101]))[0]
    async with opened(owner=other) as client:
        for name in (asset.uid, NOBODYS, "7", "not-a-uuid", "%00", str(asset.id)):
            replies = [
                await client.get(f"/assets/{name}"),
                await client.put(f"/assets/{name}", json=OLD_LINK),
                await client.get(f"/assets/{name}/versions"),
                await client.get(f"/products/{product.uid if name == asset.uid else name}"),
            ]
            assert [reply.status_code for reply in replies] == [404] * 4, name
            assert all(reply.json()["message"] for reply in replies)
        assert (await client.get("/assets")).json()["data"] == []
        assert (await client.get("/products")).json()["meta"]["total"] == 0
