import pytest

from carryout.catalog import service
from carryout.catalog.model import Place
from carryout.catalog.places import ProductUnknown, SkuUnknown, VariantUnknown, find_places
from carryout.db import Database
from tests.catalog.makers import make_products
from tests.merchants.makers import make_store


async def test_a_place_is_named_in_any_way_and_comes_once(database: Database) -> None:
    store = await database.write(make_store)
    await database.write(make_products, store.id)
    row = (await database.read(service.list_by_variant, store.id, [101]))[0]

    found = await database.read(find_places, store.id, ["book-epub"], [101, " 101 ", row.uid.upper()], [100, row.uid])

    assert found == [Place(100, 101), Place(100, None)]


@pytest.mark.parametrize(
    ("names", "error"),
    [((["x"], [], []), SkuUnknown), (([], ["7"], []), VariantUnknown), (([], [], ["book"]), ProductUnknown)],
)
async def test_what_nobody_told_us_of_is_no_place(
    database: Database, names: tuple[list[str], list[str], list[str]], error: type[Exception]
) -> None:
    store = await database.write(make_store)
    await database.write(make_products, store.id)
    with pytest.raises(error):
        await database.read(find_places, store.id, *names)
