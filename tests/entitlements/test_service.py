from functools import partial
from typing import Any

import msgspec
import pytest

from carryout.catalog import service as catalog
from carryout.catalog.model import Asset
from carryout.db import Database
from carryout.entitlements import service
from carryout.entitlements.model import GrantView
from carryout.orders import service as orders
from carryout.orders.model import LineFacts, Order, OrderFacts
from carryout.storage import Blob
from tests.cast import NOW, OTHER
from tests.entitlements.makers import World, make_world
from tests.merchants.makers import KEYRING, make_store
from tests.orders.makers import BOOK_LINE, SONG_LINE, TIP_LINE, make_order, order_facts

DAY = 86_400_000_000


@pytest.fixture
async def world(database: Database) -> World:
    return await make_world(database)


async def attach(world: World, asset: Asset | None = None, **places: Any) -> None:
    work = partial(service.attach, **places, now=NOW + 1)
    await world.database.write(work, world.store, (asset or world.asset).id)


async def detach(world: World, **places: Any) -> None:
    await world.database.write(partial(service.detach, **places, now=NOW + 2), world.store, world.asset.id)


async def reach(world: World) -> None:
    assert await world.database.write(service.reach_orders, world.store, world.asset.id, 0, NOW) is None


async def record(world: World, facts: OrderFacts) -> None:
    recorded = await world.database.write(orders.record, world.store, facts, KEYRING, NOW)
    assert recorded is not None
    await world.database.write(service.regrant, world.store, recorded.id, NOW)


async def another_order(world: World, **changes: Any) -> Order:
    order = await world.database.write(partial(make_order, shopify_id=7, token=None, **changes), world.store)
    await world.regrant(order)
    return order


async def terms(world: World, order: Order | None = None) -> list[tuple[int | None, int | None, int | None, bool]]:
    return [
        (grant.base_downloads, grant.base_expires_at, grant.base_release_at, grant.is_per_unit)
        for grant in await world.grants(order)
    ]


def uids(grants: list[GrantView]) -> list[str]:
    return [grant.uid for grant in grants]


# ── what is granted


async def test_a_line_grants_what_is_attached_to_its_variant_once(world: World) -> None:
    granted = await world.grants()
    assert [(grant.filename, grant.quantity, grant.remaining) for grant in granted] == [("book.epub", 1, 1)]
    assert await world.regrant() == 0
    assert await world.grants() == granted


async def test_attached_to_variant_and_product_a_line_grants_an_asset_once(world: World) -> None:
    await attach(world, product_ids=[100])
    assert await world.regrant() == 0
    assert len(await world.grants()) == 1


async def test_one_asset_on_two_lines_and_on_the_order_is_three_grants(world: World) -> None:
    second = msgspec.structs.replace(BOOK_LINE, line_item_id=14, position=3)
    await record(world, order_facts(1, lines=(BOOK_LINE, SONG_LINE, second)))
    for _ in range(2):
        await world.database.write(service.attach_to_order, world.store, world.order.id, [world.asset.id], NOW)
    granted = await world.grants()
    assert [grant.line_id is None for grant in granted] == [False, False, True]
    assert len({grant.uid for grant in granted}) == 3
    await world.use()
    assert [grant.used for grant in await world.grants()] == [1, 0, 0]


async def test_what_has_no_variant_or_no_quantity_grants_nothing(world: World) -> None:
    await attach(world, product_ids=[100, 200])
    nothing = msgspec.structs.replace(BOOK_LINE, quantity=0)
    custom = LineFacts(line_item_id=15, position=1, name="Custom")
    order = await another_order(world, lines=(nothing, custom, TIP_LINE))
    assert await world.grants(order) == []
    view = await world.database.read(service.view_by_id, world.store.id, order.id)
    assert [(line.name, line.product_uid) for line in view.lines][1:] == [("Custom", None), ("Tip", None)]


async def test_an_edit_that_adds_a_line_grants_it(world: World) -> None:
    await attach(world, variant_ids=[102])
    added = msgspec.structs.replace(BOOK_LINE, line_item_id=14, variant_id=102, position=3)
    await record(world, order_facts(1, lines=(BOOK_LINE, SONG_LINE, added)))
    assert len(await world.grants()) == 2


async def test_a_removed_asset_is_granted_no_more_and_shown_as_unavailable(world: World) -> None:
    await world.database.write(catalog.remove_asset, world.store.id, world.asset.id, NOW)
    assert await world.grants(await another_order(world)) == []
    view = await world.database.read(service.view_by_id, world.store.id, world.order.id)
    assert [judged.refusal and judged.refusal.value for judged in service.judge(view, NOW)] == ["asset_unavailable"]


# ── terms


async def test_terms_are_snapshotted_when_the_grant_is_made(database: Database) -> None:
    world = await make_world(database, download_limit="3", expires_days="30", address_limit="2")
    later = await world.set(download_limit="9", expires_days="none", limit_per_unit="on", address_limit="none")
    await later.regrant()
    assert await terms(later) == [(3, NOW + 30 * DAY, None, False)]
    assert await terms(later, await another_order(later)) == [(9, None, None, True)]
    view = await database.read(service.view_by_id, world.store.id, world.order.id)
    assert service.order_facts(view.order).address_limit == 2


async def test_an_assets_own_limits_come_before_the_stores(database: Database) -> None:
    world = await make_world(database, download_limit="3")
    pairs = [("downloads", "1"), ("expires_days", "7"), ("release_at", "2026-12-24T18:00:00Z")]
    await database.write(catalog.set_limits, world.store.id, world.asset.id, pairs)
    ((downloads, expires_at, release_at, _),) = await terms(world, await another_order(world))
    assert (downloads, expires_at) == (1, NOW + 7 * DAY)
    assert release_at is not None


async def test_settings_reach_existing_grants_when_they_are_applied(database: Database) -> None:
    world = await make_world(database, download_limit="3", expires_days="30")
    await world.use()
    world = await world.set(download_limit="none", expires_days="1", address_limit="4", limit_per_unit="on")
    await database.write(service.enqueue_settings, world.store, NOW)
    assert await database.write(service.apply_settings, world.store, 0) is None
    assert await terms(world) == [(None, NOW + DAY, None, True)]
    assert [grant.used for grant in await world.grants()] == [1]
    view = await database.read(service.view_by_id, world.store.id, world.order.id)
    assert service.order_facts(view.order).address_limit == 4


async def test_settings_are_applied_beside_an_assets_own_limits(database: Database) -> None:
    world = await make_world(database)
    await database.write(catalog.set_limits, world.store.id, world.asset.id, [("downloads", "1")])
    order = await another_order(world)
    world = await world.set(download_limit="9")
    await database.write(service.apply_settings, world.store, 0)
    assert [row[0] for row in await terms(world, order)] == [1]


# ── attaching and detaching


async def test_attaching_reaches_who_already_bought(world: World) -> None:
    await attach(world, skus=["song"])
    assert len(await world.grants()) == 1
    await reach(world)
    await reach(world)
    assert [grant.quantity for grant in await world.grants()] == [1, 3]


async def test_attaching_for_new_orders_leaves_old_ones_alone_for_good(world: World) -> None:
    await attach(world, skus=["song"], reaches_existing=False)
    await record(world, order_facts(5))
    assert len(await world.grants()) == 1
    assert len(await world.grants(await another_order(world, ordered_at=NOW + 1))) == 2


async def test_detaching_leaves_grants_and_new_orders_get_none(world: World) -> None:
    await detach(world, skus=["book-epub"])
    await world.regrant()
    assert len(await world.grants()) == 1
    assert await world.grants(await another_order(world)) == []


async def test_detaching_with_revoke_takes_grants_away_until_they_are_attached_again(world: World) -> None:
    before = await world.grants()
    await world.use()
    await detach(world, skus=["book-epub"], revokes=True)
    assert await world.grants() == []
    await attach(world, skus=["book-epub"])
    await reach(world)
    granted = await world.grants()
    assert uids(granted) == uids(before)
    assert [grant.used for grant in granted] == [1]


async def test_revoking_one_place_leaves_what_was_detached_before_it(world: World) -> None:
    """Grants that a plain detach left are not taken away by revoking the asset somewhere else."""
    await attach(world, skus=["song"])
    await reach(world)
    await detach(world, skus=["book-epub"])
    await detach(world, skus=["song"], revokes=True)
    assert [grant.quantity for grant in await world.grants()] == [1]


async def test_revoking_a_product_takes_the_grants_of_all_its_variants(world: World) -> None:
    await attach(world, product_ids=[100])
    await detach(world, product_ids=[100], revokes=True)
    assert await world.grants() == []


async def test_detaching_from_an_order_leaves_the_grant_unless_it_is_revoked(world: World) -> None:
    change = partial(world.database.write, partial(service.detach_from_order, revokes=True), world.store)
    await world.database.write(service.attach_to_order, world.store, world.order.id, [world.asset.id], NOW)
    await world.database.write(service.detach_from_order, world.store, world.order.id, [world.asset.id], NOW)
    await world.regrant()
    assert len(await world.grants()) == 2
    await change(world.order.id, [world.asset.id], NOW)
    await world.regrant()
    assert [grant.line_id is None for grant in await world.grants()] == [False]


async def test_another_stores_orders_are_neither_reached_nor_seen(world: World, database: Database) -> None:
    other = await database.write(make_store, OTHER)
    theirs = await database.write(make_order, other)
    await reach(world)
    view = await database.read(service.view_by_id, other.id, theirs.id)
    assert view.grants == []
    with pytest.raises(orders.OrderUnknown):
        await database.read(service.view_by_id, other.id, world.order.id)


# ── the views


async def test_a_token_that_two_stores_claim_belongs_to_the_first(world: World, database: Database) -> None:
    other = await database.write(make_store, OTHER)
    theirs = await database.write(make_order, other)
    digest = orders.token_digest(b"b835a6e4fd2be636c2780cb6c9bdf712")

    async def found(domain: str | None) -> int | None:
        view = await database.read(service.view_by_token, digest, domain)
        return None if view is None else view.order.id

    assert await found(None) == world.order.id
    assert await found(OTHER.domain) == theirs.id
    assert await found("unknown.myshopify.com") is None


async def test_a_replaced_file_is_what_buyers_get(world: World, database: Database) -> None:
    await database.write(catalog.add_version, world.store.id, world.asset.id, Blob(b"\2" * 32, 2, 7), NOW)
    assert [(grant.sha256, grant.size_bytes) for grant in await world.grants()] == [(b"\2" * 32, 7)]
