import hashlib
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from carryout.catalog.model import Asset
from carryout.orders import service as orders
from tests.cast import BEA, STRANGER
from tests.downloads.doors import CONTENT, door, sold, spent
from tests.downloads.fetching import blob_path, fetch, zip_path
from tests.storefront.house import House
from tests.whole.shop import eventually

# ── what is sent


def test_a_file_is_sent_whole_and_never_rendered(house: House, book: Asset) -> None:
    order, path = sold(house, book)
    response = fetch(house, path, headers={"accept-encoding": "gzip"})
    assert response.status_code == 200
    assert response.content == CONTENT
    digest = hashlib.sha256(CONTENT)
    expected = {
        "content-length": str(len(CONTENT)),
        "content-type": "application/epub+zip",
        "content-disposition": "attachment; filename=\"book.epub\"; filename*=UTF-8''book.epub",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox",
        "cache-control": "private, no-store",
        "referrer-policy": "no-referrer",
        "x-robots-tag": "noindex",
        "etag": f'"{digest.hexdigest()}"',
        "accept-ranges": "bytes",
        "last-modified": "Tue, 24 Nov 2026 16:12:50 GMT",
    }
    assert expected.items() <= dict(response.headers).items()
    assert "content-encoding" not in response.headers
    assert response.headers["repr-digest"] == f"sha-256=:{b64encode(digest.digest()).decode()}:"
    assert spent(house, order) == 1


def test_a_file_of_zero_bytes_is_a_file(house: House) -> None:
    order, path = sold(house, house.file(b"", "empty.txt"))
    response = fetch(house, path)
    assert (response.status_code, response.content, response.headers["content-length"]) == (200, b"", "0")
    assert spent(house, order) == 1


@pytest.mark.parametrize(
    "filename",
    [
        'a "quoted" name.pdf',
        "semi;colon, comma's & 100%.pdf",
        "\u202egpj.exe",
        "📚 Bücher \u2013 日本語.epub",
        "é" * 150 + ".pdf",
        "...pdf",
        "../../etc/passwd",
        "C:\\Windows\\x.exe",
        ".htaccess",
        "CON",
    ],
)
def test_an_odd_name_is_sent_safely_under_its_own_link(house: House, filename: str) -> None:
    _, token = house.order(house.file(b"x", filename))
    reply = house.get("/api/v2/customer-account-orders", params={"id": token}).json()
    response = fetch(house, reply["order"]["assets"][0]["data"]["url"])
    assert (response.status_code, response.content) == (200, b"x")
    said = response.headers["content-disposition"]
    assert said.isascii()
    saved = unquote(said.partition("filename*=UTF-8''")[2])
    assert saved
    assert not set(saved) & set('/\\\r\n"\0\u202e')
    assert saved.strip(".") not in ("", "CON")
    assert len(saved.encode()) <= 255


@pytest.mark.parametrize("name", ["%0d%0aset-cookie:x", "..%2f..", "%ff", "%00", "x" * 3000, "."])
def test_the_name_in_the_link_is_for_people_and_changes_nothing(house: House, book: Asset, name: str) -> None:
    order, _ = house.order(book)
    raw = house.raw(f"HEAD {door(house, order, name)} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    status = raw.split(b" ")[1]
    assert status in (b"200", b"404")
    assert b"set-cookie" not in raw.lower()


def test_a_link_is_a_redirect_that_nobody_may_keep(house: House) -> None:
    order, path = sold(house, house.link("https://www.my-website.com/a?b=c#d"))
    for uses, address in [(1, BEA.address), (1, BEA.address), (2, STRANGER.address)]:
        response = house.get(path, address=address)
        assert (response.status_code, response.content) == (302, b"")
        assert response.headers["location"] == "https://www.my-website.com/a?b=c#d"
        assert response.headers["cache-control"] == "private, no-store"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert spent(house, order) == uses


@pytest.mark.parametrize("query", ["?url=https://evil.example", "?next=//evil.example"])
def test_a_redirect_leads_where_the_merchant_said(house: House, query: str) -> None:
    _, path = sold(house, house.link())
    assert house.get(path + query).headers["location"] == "https://www.my-website.com/my-book.pdf"


# ── what spends nothing


def test_head_tells_size_and_type_and_spends_nothing(house: House, book: Asset) -> None:
    order, path = sold(house, book)
    response = house.request("HEAD", path)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == str(len(CONTENT))
    assert response.headers["content-type"] == "application/epub+zip"
    assert spent(house, order) == 0


def test_head_of_a_link_says_nothing_of_its_target(house: House) -> None:
    order, path = sold(house, house.link())
    response = house.request("HEAD", path)
    assert response.status_code == 200
    assert "location" not in response.headers
    assert spent(house, order) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("sec-purpose", "Prefetch;anonymous-client-ip"),
        ("purpose", "prefetch"),
        ("purpose", "preview"),
        ("x-moz", "prefetch"),
    ],
)
def test_a_prefetch_is_answered_with_nothing(house: House, book: Asset, name: str, value: str) -> None:
    order, path = sold(house, book)
    response = house.get(path, headers={name: value})
    assert (response.status_code, response.content) == (204, b"")
    assert spent(house, order) == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"range": f"bytes={len(CONTENT)}-"}, 416),
        ({"range": "bytes=-0"}, 416),
        ({"if-none-match": "*"}, 304),
        ({"if-match": '"another"'}, 412),
    ],
)
def test_what_leaves_nothing_to_send_spends_nothing(
    house: House, book: Asset, headers: dict[str, str], status: int
) -> None:
    order, path = sold(house, book)
    house.write(orders.set_terms, house.store.id, order, {"addresses": 1})
    response = house.get(path, headers=headers)
    assert response.status_code == status
    assert status != 416 or response.headers["content-range"] == f"bytes */{len(CONTENT)}"
    assert spent(house, order) == 0
    assert fetch(house, path, address=STRANGER.address).status_code == 200


def test_who_has_an_open_download_joins_it_at_the_limit(house: House, book: Asset) -> None:
    order, path = sold(house, book)
    house.write(orders.set_terms, house.store.id, order, {"downloads": 1})
    first = house.get(path).headers["location"]
    assert house.get(path).headers["location"] == first
    assert house.get(path, headers={"range": "bytes=9-"}).headers["location"] == first
    assert house.request("HEAD", path).status_code == 200
    assert house.request("HEAD", path, address=STRANGER.address).status_code == 403
    assert house.get(path, address=STRANGER.address).json()["code"] == "download_limit_reached"
    assert spent(house, order) == 1


def test_a_download_whose_budget_is_too_small_ends_and_a_new_one_is_decided(house: House, book: Asset) -> None:
    order, path = sold(house, book)
    first = house.get(path).headers["location"]
    for _ in range(2):
        assert fetch(house, path).status_code == 200
    eventually(lambda: house.get(path).headers["location"] != first)
    assert spent(house, order) == 2


def test_who_asks_for_what_the_budget_covers_joins_at_the_limit(house: House, book: Asset) -> None:
    order, path = sold(house, book)
    house.write(orders.set_terms, house.store.id, order, {"downloads": 1})
    first = house.get(path).headers["location"]
    for _ in range(2):
        assert fetch(house, path).status_code == 200
    eventually(lambda: house.request("HEAD", path).status_code == 403)  # what is left covers no whole file
    assert house.get(path, headers={"range": "bytes=9-99"}).headers["location"] == first
    assert house.get(path).json()["code"] == "download_limit_reached"


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"short")])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_file_that_the_storage_lost_costs_nothing(house: House, damage: Any, method: str) -> None:
    order, path = sold(house, house.file(f"{method} {damage}".encode()))
    damage(blob_path(house, order))
    response = house.request(method, path)
    assert response.status_code == 404
    assert method == "HEAD" or response.json()["code"] == "asset_unavailable"
    assert spent(house, order) == 0


def test_a_storage_that_does_not_answer_is_waited_for_and_costs_nothing(house: House) -> None:
    order, path = sold(house, house.file(b"on a disk that is away"))
    folder = blob_path(house, order).parent
    away = folder.rename(folder.with_suffix(".away"))
    folder.touch()
    try:
        for door in (path, zip_path(house, order)):
            response = house.get(door)
            assert (response.status_code, response.json()["code"]) == (503, "storage_unavailable")
            assert int(response.headers["retry-after"]) > 0
    finally:
        folder.unlink()
        away.rename(folder)
    assert spent(house, order) == 0
    assert fetch(house, path).content == b"on a disk that is away"
