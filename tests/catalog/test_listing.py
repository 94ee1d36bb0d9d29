from carryout.catalog import listing, service
from carryout.catalog.model import ProductFilter, Slice
from carryout.db import Database, Tx
from tests.cast import NOW, OTHER
from tests.catalog.makers import make_file, make_products
from tests.merchants.makers import make_store

ALL = Slice(0, 0, 100)


async def test_a_part_begins_after_a_row_and_ends_at_its_limit(database: Database) -> None:
    store = await database.write(make_store)
    made = [await database.write(make_file, store.id, f"{number}.epub") for number in range(5)]

    async def look(tx: Tx, part: Slice, *, with_total: bool) -> tuple[list[int], int | None]:
        page = await listing.list_assets(tx, store.id, None, part, with_total=with_total, with_products=False)
        return [asset.id for asset in page.assets], page.total

    async def look_at_all(tx: Tx) -> None:
        ids = [asset.id for asset in made]
        assert await look(tx, ALL, with_total=True) == (ids, 5)
        assert await look(tx, Slice(ids[1], 0, 2), with_total=False) == (ids[2:4], None)
        assert await look(tx, Slice(0, 3, 100), with_total=False) == (ids[3:], None)

    await database.read(look_at_all)


async def test_a_list_holds_what_is_the_stores_and_there(database: Database) -> None:
    store, other = await database.write(make_store), await database.write(make_store, OTHER)
    gone, kept = [await database.write(make_file, store.id) for _ in range(2)]
    await database.write(service.remove_asset, store.id, gone.id, NOW)
    await database.write(make_products, store.id)

    async def look(tx: Tx) -> None:
        ours = await listing.list_assets(tx, store.id, None, ALL, with_total=True, with_products=True)
        theirs = await listing.list_assets(tx, other.id, None, ALL, with_total=True, with_products=True)
        assert (ours.assets, ours.total, ours.products) == ([kept], 1, {kept.id: []})
        assert (theirs.assets, theirs.total) == ([], 0)
        products = await listing.list_products(tx, other.id, ProductFilter(), ALL, with_total=True, with_assets=True)
        assert (products.products, products.total, products.assets) == ([], 0, {})

    await database.read(look)
