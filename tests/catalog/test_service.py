import itertools

import msgspec
import pytest

from carryout.catalog import service
from carryout.catalog.model import Asset, Attachment, Place, Product, ProductFacts
from carryout.db import Database, Tx
from carryout.merchants.model import Store
from carryout.storage import Blob
from tests.cast import NOW, OTHER
from tests.catalog.makers import BOOK, BOOK_PDF, make_file, make_products
from tests.merchants.makers import make_store

UNKNOWN = "01a20e90-cc89-72b9-9043-da4e00777707"


@pytest.fixture
async def mira(database: Database) -> Store:
    return await database.write(make_store)


@pytest.fixture
async def other(database: Database) -> Store:
    return await database.write(make_store, OTHER)


async def variant(database: Database, store: Store, variant_id: int = 101) -> Product:
    (row,) = await database.read(service.list_by_variant, store.id, [variant_id])
    return row


async def attach(
    database: Database,
    store: Store,
    asset: Asset,
    *,
    skus: tuple[str, ...] = (),
    variant_ids: tuple[str | int, ...] = (),
    product_ids: tuple[str | int, ...] = (),
    applies_from: int = 0,
) -> list[Place]:
    async def work(tx: Tx) -> list[Place]:
        return await service.attach(
            tx,
            store.id,
            asset.id,
            skus=skus,
            variant_ids=variant_ids,
            product_ids=product_ids,
            applies_from=applies_from,
            now=NOW,
        )

    return await database.write(work)


async def detach(
    database: Database,
    store: Store,
    asset: Asset,
    *,
    skus: tuple[str, ...] = (),
    product_ids: tuple[str | int, ...] = (),
) -> list[Place]:
    async def work(tx: Tx) -> list[Place]:
        return await service.detach(tx, store.id, asset.id, skus=skus, product_ids=product_ids)

    return await database.write(work)


# ── products


async def test_what_the_shop_says_is_kept(database: Database, mira: Store) -> None:
    await database.write(service.record_products, mira.id, [msgspec.structs.replace(BOOK, tags=("new", "ebook"))])
    row = await variant(database, mira)
    assert (row.name, row.variant_name, row.sku, row.tags) == ("Book", "EPUB", "book-epub", ("new", "ebook"))


async def test_products_come_to_the_same_in_any_order(database: Database) -> None:
    """Of what the shop and an order's line said, the shop's newest stays; at one time, the greater."""
    told = [
        ("record", msgspec.structs.replace(BOOK, name="Book A", updated_at=NOW)),
        ("record", msgspec.structs.replace(BOOK, name="Book B", updated_at=NOW)),
        ("record", msgspec.structs.replace(BOOK, name="Old book", updated_at=NOW - 1)),
        ("note", msgspec.structs.replace(BOOK, name="Line of an order", updated_at=NOW + 1)),
    ]

    async def names(tx: Tx) -> set[str]:
        store = await make_store(tx)
        found: set[str] = set()
        for number, order in enumerate(itertools.permutations(told)):
            for verb, fact in order:
                moved = msgspec.structs.replace(fact, variant_id=number + 1)
                await (service.record_products if verb == "record" else service.note_variants)(tx, store.id, [moved])
            found.update(row.name for row in await service.list_by_variant(tx, store.id, [number + 1]))
        return found

    assert await database.write(names) == {"Book B"}


async def test_lines_of_orders_come_to_the_same_in_any_order(database: Database, mira: Store) -> None:
    lines = [
        ProductFacts(product_id=None, variant_id=1, name="Early", updated_at=NOW),
        ProductFacts(product_id=100, variant_id=1, name="Late", updated_at=NOW + 1),
        ProductFacts(product_id=100, variant_id=1, name="Late too", sku="x", updated_at=NOW + 1),
    ]

    async def names(tx: Tx) -> set[str]:
        found: set[str] = set()
        for number, order in enumerate(itertools.permutations(lines)):
            for line in order:
                await service.note_variants(tx, mira.id, [msgspec.structs.replace(line, variant_id=number + 1)])
            found.update(row.name for row in await service.list_by_variant(tx, mira.id, [number + 1]))
        return found

    assert await database.write(names) == {"Late too"}


async def test_the_shop_completes_what_a_line_said_before(database: Database, mira: Store) -> None:
    await database.write(service.note_variants, mira.id, [msgspec.structs.replace(BOOK, sku=None, updated_at=NOW + 9)])
    before = await variant(database, mira)
    await database.write(service.record_products, mira.id, [BOOK])
    after = await variant(database, mira)
    assert (before.sku, after.sku) == (None, "book-epub")
    assert before.uid == after.uid


async def test_variants_that_an_update_does_not_name_stay(database: Database, mira: Store) -> None:
    await database.write(make_products, mira.id)
    await database.write(service.record_products, mira.id, [msgspec.structs.replace(BOOK, updated_at=NOW + 1)])
    assert (await variant(database, mira, 102)).name == "Book"


async def test_a_deleted_product_keeps_its_rows_and_attachments(database: Database, mira: Store) -> None:
    await database.write(make_products, mira.id)
    asset = await database.write(make_file, mira.id)
    await attach(database, mira, asset, product_ids=(100,))
    await database.write(service.delete_product, mira.id, 100, NOW)
    assert (await variant(database, mira)).name == "Book"
    assert await database.read(service.list_for_variants, mira.id, [101], [100]) == [Attachment(asset.id, 100, None, 0)]


async def test_texts_that_cannot_be_stored_are_cleaned(database: Database, mira: Store) -> None:
    odd = msgspec.structs.replace(BOOK, name="Bo\x00ok\ud800", sku="\x00", vendor="\udfff", tags=("\x00t",))
    await database.write(service.record_products, mira.id, [odd])
    row = await variant(database, mira)
    assert (row.name, row.sku, row.vendor, row.tags) == ("Book\ufffd", "", "\ufffd", ("t",))


# ── assets


async def test_a_file_is_added(database: Database, mira: Store) -> None:
    asset = await database.write(make_file, mira.id, "../Book.epub")
    assert (asset.filename, asset.is_link, asset.size_bytes) == (".._Book.epub", False, 10_000_000)
    assert await database.read(service.find_asset, mira.id, asset.uid.upper()) == asset


async def test_a_file_of_zero_bytes_is_a_file(database: Database, mira: Store) -> None:
    asset = await database.write(service.add_file, mira.id, "empty.txt", Blob(b"\0" * 32, 0, 0), NOW)
    assert asset.size_bytes == 0


async def test_a_link_is_added(database: Database, mira: Store) -> None:
    asset = await database.write(service.add_link, mira.id, "https://example.com/course", "Course", "2 hours", NOW)
    assert (asset.is_link, asset.link_url, asset.size_text) == (True, "https://example.com/course", "2 hours")
    assert asset.size_bytes is None


async def test_a_wrong_name_or_link_is_refused(database: Database, mira: Store) -> None:
    with pytest.raises(service.FilenameInvalid):
        await database.write(make_file, mira.id, "x" * 256)
    with pytest.raises(service.LinkInvalid):
        await database.write(service.add_link, mira.id, "javascript:alert(1)", "Course", None, NOW)
    with pytest.raises(service.FilenameInvalid):
        await database.write(service.add_link, mira.id, "https://example.com", "", None, NOW)


async def test_a_replaced_file_is_a_new_version(database: Database, mira: Store) -> None:
    asset = await database.write(make_file, mira.id)
    first = await database.read(service.find_newest_version, mira.id, asset.id)
    await database.write(service.add_version, mira.id, asset.id, Blob(b"2" * 32, 2, 20), NOW + 1)
    newest = await database.read(service.find_newest_version, mira.id, asset.id)
    assert first is not None
    assert newest is not None
    assert (newest.sha256, newest.crc32, newest.size_bytes) == (b"2" * 32, 2, 20)
    assert await database.read(service.find_version, mira.id, first.id) == first


async def test_the_same_bytes_again_are_no_new_version(database: Database, mira: Store) -> None:
    asset = await database.write(make_file, mira.id)
    first = await database.read(service.find_newest_version, mira.id, asset.id)
    await database.write(service.add_version, mira.id, asset.id, Blob(b"\1" * 32, 1, 10_000_000), NOW + 1)
    assert await database.read(service.find_newest_version, mira.id, asset.id) == first


async def test_a_link_has_no_versions(database: Database, mira: Store) -> None:
    link = await database.write(service.add_link, mira.id, "https://example.com", "Course", None, NOW)
    with pytest.raises(service.AssetUnknown):
        await database.write(service.add_version, mira.id, link.id, Blob(b"2" * 32, 2, 20), NOW)


async def test_limits_are_set_all_or_none(database: Database, mira: Store) -> None:
    asset = await database.write(make_file, mira.id)
    pairs = [("downloads", "3"), ("expires_days", "30"), ("release_at", "2026-12-24T18:00:00+01:00")]
    changed = await database.write(service.set_limits, mira.id, asset.id, pairs)
    assert (changed.downloads, changed.expires_days, changed.release_at) == (3, 30, 1_798_131_600_000_000)
    with pytest.raises(service.LimitInvalid, match=r"^release_at must be a time"):
        await database.write(
            service.set_limits, mira.id, asset.id, [("downloads", "none"), ("release_at", "Christmas")]
        )
    with pytest.raises(service.LimitInvalid, match=r"downloads, expires_days, release_at"):
        await database.write(service.set_limits, mira.id, asset.id, [("colour", "red")])
    assert await database.read(service.find_asset, mira.id, asset.uid) == changed
    pairs = [("downloads", "none"), ("expires_days", "none"), ("release_at", "none")]
    assert await database.write(service.set_limits, mira.id, asset.id, pairs) == asset


async def test_assets_are_listed_in_pages(database: Database, mira: Store) -> None:
    made = [await database.write(make_file, mira.id, f"{number}.epub") for number in range(3)]
    assert await database.read(service.list_assets, mira.id, 0, 2) == made[:2]
    assert await database.read(service.list_assets, mira.id, 2, 2) == made[2:]
    assert await database.read(service.count_assets, mira.id) == 3


async def test_a_removed_asset_is_gone_for_new_orders(database: Database, mira: Store) -> None:
    await database.write(make_products, mira.id)
    asset = await database.write(make_file, mira.id)
    await attach(database, mira, asset, skus=("book-epub",))
    await database.write(service.remove_asset, mira.id, asset.id, NOW)
    with pytest.raises(service.AssetUnknown):
        await database.read(service.find_asset, mira.id, asset.uid)
    with pytest.raises(service.AssetUnknown):
        await database.write(service.remove_asset, mira.id, asset.id, NOW)
    assert await database.read(service.list_assets, mira.id) == []
    assert await database.read(service.list_for_variants, mira.id, [101], [100]) == []


async def test_another_store_sees_and_changes_nothing(database: Database, mira: Store, other: Store) -> None:
    await database.write(make_products, mira.id)
    asset = await database.write(make_file, mira.id)
    await attach(database, mira, asset, skus=("book-epub",))
    with pytest.raises(service.AssetUnknown):
        await database.read(service.find_asset, other.id, asset.uid)
    with pytest.raises(service.AssetUnknown):
        await database.write(service.set_limits, other.id, asset.id, [("downloads", "0")])
    with pytest.raises(service.AssetUnknown):
        await attach(database, other, asset, skus=("book-epub",))
    with pytest.raises(service.SkuUnknown):
        await attach(database, other, await database.write(make_file, other.id), skus=("book-epub",))
    assert await database.read(service.list_for_variants, other.id, [101], [100]) == []
    assert await database.read(service.find_newest_version, other.id, asset.id) is None


# ── attachments


async def test_an_asset_is_attached_by_sku_variant_and_product(database: Database, mira: Store) -> None:
    await database.write(make_products, mira.id)
    asset = await database.write(make_file, mira.id)
    row = await variant(database, mira, 102)
    assert await attach(database, mira, asset, skus=("song",)) == [Place(200, 201)]
    assert await attach(database, mira, asset, variant_ids=("101", row.uid)) == [Place(100, 101), Place(100, 102)]
    assert await attach(database, mira, asset, product_ids=(100, row.uid)) == [Place(100, None), Place(100, 102)]
    assert await database.read(service.list_for_asset, mira.id, asset.id) == [
        Attachment(asset.id, 200, 201, 0),
        Attachment(asset.id, 100, 101, 0),
        Attachment(asset.id, 100, 102, 0),
        Attachment(asset.id, 100, None, 0),
    ]


async def test_attaching_again_changes_nothing(database: Database, mira: Store) -> None:
    await database.write(make_products, mira.id)
    asset = await database.write(make_file, mira.id)
    first = await attach(database, mira, asset, skus=("song",), product_ids=("100",))
    assert await attach(database, mira, asset, skus=("song", "song"), product_ids=("100", 100)) == first
    assert len(await database.read(service.list_for_asset, mira.id, asset.id)) == 2


async def test_attaching_to_all_orders_reaches_further_than_to_new_ones(database: Database, mira: Store) -> None:
    await database.write(make_products, mira.id)
    asset = await database.write(make_file, mira.id)
    await attach(database, mira, asset, skus=("song",), applies_from=NOW)
    await attach(database, mira, asset, skus=("song",), applies_from=0)
    await attach(database, mira, asset, skus=("song",), applies_from=NOW)
    (attachment,) = await database.read(service.list_for_asset, mira.id, asset.id)
    assert attachment.applies_from == 0


async def test_a_shared_sku_means_every_variant_that_has_it(database: Database, mira: Store) -> None:
    await database.write(make_products, mira.id, [BOOK, msgspec.structs.replace(BOOK_PDF, sku=BOOK.sku)])
    asset = await database.write(make_file, mira.id)
    assert await attach(database, mira, asset, skus=("book-epub",)) == [Place(100, 101), Place(100, 102)]


async def test_a_variant_finds_what_is_on_it_and_on_its_product(database: Database, mira: Store) -> None:
    await database.write(make_products, mira.id)
    on_variant = await database.write(make_file, mira.id)
    on_product = await database.write(make_file, mira.id)
    await attach(database, mira, on_variant, skus=("book-epub",))
    await attach(database, mira, on_product, product_ids=(100,))

    async def found(variant_id: int, product_id: int) -> list[int]:
        rows = await database.read(service.list_for_variants, mira.id, [variant_id], [product_id])
        return [row.asset_id for row in rows]

    assert await found(101, 100) == [on_variant.id, on_product.id]
    assert await found(102, 100) == [on_product.id]
    assert await found(201, 200) == []


@pytest.mark.parametrize("text", ["", "book", "999", "-1", "9" * 30, UNKNOWN, "a\x00", "\udc80"])
async def test_what_the_shop_never_told_about_cannot_be_attached_to(database: Database, mira: Store, text: str) -> None:
    await database.write(make_products, mira.id)
    asset = await database.write(make_file, mira.id)
    with pytest.raises(service.SkuUnknown):
        await attach(database, mira, asset, skus=("song", text))
    with pytest.raises(service.VariantUnknown):
        await attach(database, mira, asset, variant_ids=(101, text))
    with pytest.raises(service.ProductUnknown):
        await attach(database, mira, asset, product_ids=(100, text))
    assert await database.read(service.list_for_asset, mira.id, asset.id) == []


async def test_an_asset_is_detached_from_a_product_with_all_its_variants(database: Database, mira: Store) -> None:
    await database.write(make_products, mira.id)
    asset = await database.write(make_file, mira.id)
    await attach(database, mira, asset, skus=("book-epub", "song"), product_ids=(100,))
    assert await detach(database, mira, asset, product_ids=(100,)) == [Place(100, None)]
    assert await detach(database, mira, asset, product_ids=(100,)) == [Place(100, None)]
    assert await database.read(service.list_for_asset, mira.id, asset.id) == [Attachment(asset.id, 200, 201, 0)]


async def test_a_variant_is_not_detached_while_its_whole_product_is_attached(database: Database, mira: Store) -> None:
    await database.write(make_products, mira.id)
    asset = await database.write(make_file, mira.id)
    await attach(database, mira, asset, skus=("book-epub",), product_ids=(100,))
    with pytest.raises(service.AttachedToProduct, match="100"):
        await detach(database, mira, asset, skus=("book-epub",))
    assert len(await database.read(service.list_for_asset, mira.id, asset.id)) == 2


async def test_a_file_counts_with_its_newest_version_until_it_is_removed(database: Database, mira: Store) -> None:
    file = await database.write(service.add_file, mira.id, "a.bin", Blob(b"1" * 32, 1, 600), NOW)
    await database.write(service.add_version, mira.id, file.id, Blob(b"2" * 32, 2, 700), NOW)
    await database.read(service.require_room, mira.id, 1000, 300)
    with pytest.raises(service.StorageFull, match=r"holds 1KB of files: with 700B there already, another 301B"):
        await database.read(service.require_room, mira.id, 1000, 301)
    await database.read(service.require_room, mira.id, None, 10**15)
    await database.write(service.remove_asset, mira.id, file.id, NOW)
    await database.read(service.require_room, mira.id, 1000, 1000)
