from typing import Any

import pytest

from carryout.catalog import service
from carryout.db import Database
from carryout.merchants.model import Dialect, Store
from carryout.storage import Blob
from tests.cast import NOW
from tests.catalog.callers import NEW_LINK, OLD_LINK, URL, Opening
from tests.catalog.makers import make_file

# ── links


@pytest.mark.parametrize("body", [OLD_LINK, NEW_LINK])
@pytest.mark.parametrize("dialect", Dialect)
async def test_a_link_is_stored_in_both_dialects(opened: Opening, body: dict[str, Any], dialect: Dialect) -> None:
    size = "10MB" if dialect is Dialect.OLD else 10_000_000
    async with opened(dialect) as client:
        reply = await client.post("/assets/store", json=body)
        made = reply.json()["data"]
        assert (reply.status_code, reply.json()["asset"]) == (200, made)
        assert made == {
            "id": made["id"],
            "filename": "My new book",
            "size": size,
            "is_file": False,
            "is_link": True,
            "url": URL,
            "created_at": "2026-11-24T16:12:50Z",
            "limits": {"downloads": None, "expires_days": None, "release_at": None},
        }
        assert (await client.get(f"/assets/{made['id']}")).json() == {"data": made}
        assert (await client.get("/assets")).json()["data"] == [made]


@pytest.mark.parametrize(
    ("size", "old", "new"),
    [
        (10, "10B", 10),
        ("10", "10B", 10),
        ("10 MB", "10 MB", 10_000_000),
        ("1.5GB", "1.5GB", 1_500_000_000),
        ("unknown", "unknown", None),
        (1e3, "1KB", 1000),
        (0, "0B", 0),
    ],
)
async def test_a_size_is_kept_as_it_was_said_and_as_bytes(
    opened: Opening, size: object, old: str, new: int | None
) -> None:
    async with opened() as client, opened(Dialect.OLD) as other:
        asset_id = (await client.post("/assets/store", json=OLD_LINK | {"size": size})).json()["data"]["id"]
        assert (await client.get(f"/assets/{asset_id}")).json()["data"]["size"] == new
        assert (await other.get(f"/assets/{asset_id}")).json()["data"]["size"] == old


async def test_every_field_of_a_link_is_required(opened: Opening) -> None:
    async with opened() as client:
        for body in (b"", b"{}", b'{"filename": " ", "url": null, "size": ""}'):
            reply = await client.post("/assets/store", content=body)
            assert reply.status_code == 422
            assert reply.json() == {
                "message": "The filename field is required. (and 2 more errors)",
                "code": "invalid",
                "errors": {
                    "filename": ["The filename field is required."],
                    "size": ["The size field is required."],
                    "url": ["The url field is required."],
                },
            }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"filename": "x" * 256}, "The filename field must not be greater than 255 characters."),
        ({"filename": 7}, "The filename field must be a string."),
        ({"filename": "a\0b"}, "The filename field must be a string."),
        ({"size": -1}, "The size field must be at least 0."),
        ({"size": "-1"}, "The size field must be at least 0."),
        ({"size": 1e30}, "The size field must not be greater than 9223372036854775807."),
        ({"size": True}, "The size field must be an integer."),
        ({"size": [1]}, "The size field must be an integer."),
        ({"size": 1.5}, "The size field must be an integer."),
        ({"type": "file"}, "The selected type is invalid."),
        ({"url": "https://h/" + "x" * 2048}, "The url field must not be greater than 2048 characters."),
        *(
            ({"url": url}, "The url field must be a valid URL.")
            for url in (
                "javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "ftp://host/x", "//host/x", "https://",
                "https://user:password@host/", "java\tscript:x", "https://good.com@evil.com\\@x/", "https://h/\r\nx",
            )
        ),
    ],
)  # fmt: skip
async def test_a_wrong_field_of_a_link_is_named(opened: Opening, change: dict[str, Any], message: str) -> None:
    async with opened() as client:
        reply = await client.post("/assets/store", json=OLD_LINK | change)
        assert (reply.status_code, reply.json()["errors"]) == (422, {next(iter(change)): [message]})
        assert (await client.get("/assets")).json()["meta"]["total"] == 0


async def test_a_name_of_which_nothing_can_be_shown_is_a_fault_of_the_name(opened: Opening) -> None:
    async with opened() as client:
        reply = await client.post("/assets/store", json=OLD_LINK | {"filename": "\u202e"})
    assert (reply.status_code, list(reply.json()["errors"])) == (422, ["filename"])


async def test_a_link_that_is_stored_twice_under_one_name_is_stored_once(opened: Opening) -> None:
    async with opened() as client:
        replies = [
            await client.post("/assets/store", json=OLD_LINK, headers={"idempotency-key": "a"}) for _ in range(2)
        ]
        assert replies[0].content == replies[1].content
        assert (await client.get("/assets")).json()["meta"]["total"] == 1


# ── changes


async def test_what_is_named_of_a_link_is_changed(opened: Opening) -> None:
    async with opened() as client:
        made = (await client.post("/assets/store", json=NEW_LINK)).json()["data"]
        path = f"/assets/{made['id']}"
        body = {"filename": "My newer book", "size": "unknown", "url": "http://example.com/"}
        reply = await client.put(path, json=body)
        changed = made | body | {"size": None}
        assert (reply.status_code, reply.json()) == (200, {"data": changed})
        limits = {"downloads": 3, "expires_days": None, "release_at": "2026-12-24T18:00:00+01:00"}
        reply = await client.put(path, json={"limits": limits})
        changed["limits"] = limits | {"release_at": "2026-12-24T17:00:00Z"}
        assert reply.json() == {"data": changed}
        assert (await client.put(path, json={"limits": {"downloads": None}})).json()["data"]["limits"] == {
            "downloads": None,
            "expires_days": None,
            "release_at": "2026-12-24T17:00:00Z",
        }
        assert (await client.get(path)).json()["data"]["url"] == "http://example.com/"


async def test_of_a_file_the_name_is_changed_and_what_it_holds_is_not(
    opened: Opening, database: Database, store: Store
) -> None:
    asset = await database.write(make_file, store.id)
    async with opened() as client:
        shown = (await client.get(f"/assets/{asset.uid}")).json()["data"]
        assert (shown["size"], shown["is_file"], shown["url"]) == (10_000_000, True, None)
        reply = await client.put(f"/assets/{asset.uid}", json=shown | {"filename": "a/b.epub", "size": 1, "url": URL})
        assert reply.json()["data"] == shown | {"filename": "a_b.epub"}


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"filename": ["The filename field is required."]}),
        ({"filename": ""}, {"filename": ["The filename field is required."]}),
        ({"url": None, "size": None}, {"size": ["The size field is required."], "url": ["The url field is required."]}),
        (
            {"limits": {"downloads": -1, "expires_days": "x", "release_at": "tomorrow"}},
            {
                "limits.downloads": ["The limits.downloads field must be at least 0."],
                "limits.expires_days": ["The limits.expires days field must be an integer."],
                "limits.release_at": ["The limits.release at field must be a valid date."],
            },
        ),
        ({"limits": 7}, {"limits": ["The limits field must be an array."]}),
    ],
)
async def test_a_change_that_is_wrong_changes_nothing(
    opened: Opening, body: dict[str, Any], errors: dict[str, list[str]]
) -> None:
    async with opened() as client:
        made = (await client.post("/assets/store", json=NEW_LINK)).json()["data"]
        reply = await client.put(f"/assets/{made['id']}", json=body)
        assert (reply.status_code, reply.json()["errors"]) == (422, errors)
        assert (await client.get(f"/assets/{made['id']}")).json()["data"] == made


async def test_the_versions_of_a_file_are_listed_newest_first(
    opened: Opening, database: Database, store: Store
) -> None:
    asset = await database.write(make_file, store.id)
    for number in (2, 3):
        blob = Blob(bytes([number]) * 32, number, number * 1000)
        await database.write(service.add_version, store.id, asset.id, blob, NOW + number)
    async with opened() as client, opened(Dialect.OLD) as old:
        page = (await client.get(f"/assets/{asset.uid}/versions?per_page=2")).json()
        assert page["data"] == [
            {"number": 3, "size": 3000, "sha256": "03" * 32, "created_at": "2026-11-24T16:12:50Z"},
            {"number": 2, "size": 2000, "sha256": "02" * 32, "created_at": "2026-11-24T16:12:50Z"},
        ]
        assert page["meta"]["total"] == 3
        following = page["links"]["next"].removeprefix("http://host/api/v1")
        assert [row["size"] for row in (await old.get(following)).json()["data"]] == ["10MB"]
        link = (await client.post("/assets/store", json=NEW_LINK)).json()["data"]["id"]
        assert (await client.get(f"/assets/{link}/versions")).json()["data"] == []
