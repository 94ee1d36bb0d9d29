import pytest

from carryout.db import Database
from carryout.entitlements import service as entitlements
from carryout.storefront import service
from carryout.storefront.model import RefusalEntry, Reply
from carryout.tickets import Links, Tickets
from tests.cast import NOW
from tests.entitlements.makers import World, make_world
from tests.merchants.makers import KEYRING

LINKS = Links(Tickets(KEYRING), "https://files.example")


async def reply(world: World) -> Reply:
    view = await world.database.read(entitlements.view_by_id, world.store.id, world.order.id)
    return service.reply(view, LINKS, NOW)


@pytest.fixture
async def world(database: Database) -> World:
    return await make_world(database)


async def test_every_line_is_listed_with_what_it_grants(world: World) -> None:
    lines = (await reply(world)).order.lines
    assert [(line.product.name, len(line.assets)) for line in lines] == [("Book", 1), ("Song", 0)]


async def test_the_link_is_the_deciding_doors(world: World) -> None:
    (entry,) = (await reply(world)).order.lines[0].assets
    (grant,) = await world.grants()
    assert entry.data.url == LINKS.grant(world.store.id, grant.id, 1, "book.epub")


async def test_what_is_judged_is_what_is_shown(database: Database) -> None:
    world = await make_world(database, download_limit="1", **{"message.download_limit_reached": "Write to Mira."})
    await world.use()
    (entry,) = (await reply(world)).order.lines[0].assets
    assert (entry.limits.downloaded, entry.limits.limit, entry.data.url) == (1, 1, None)
    assert entry.refusal == RefusalEntry("download_limit_reached", "Write to Mira.")
