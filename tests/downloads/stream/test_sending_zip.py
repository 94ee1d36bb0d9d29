"""Everything of an order as one ZIP: which bytes it has, what it spends, and how it goes on."""

import io
import random
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any, Final

import pytest

from carryout.catalog.model import Asset
from carryout.entitlements import service as entitlements
from carryout.entitlements.model import GrantView
from carryout.orders import service as orders
from carryout.orders.model import Order, Standing
from tests.cast import NOW, STRANGER
from tests.downloads.fetching import blob_path, fetch, grant_path, opened, pattern, zip_path
from tests.storefront.house import House

SONGS: Final = {"song.flac": pattern(90_000), "Song.flac": b"another", "../empty.txt": b"", "b/ü.txt": b"text" * 50}
NAMES: Final = ["song.flac", "Song (2).flac", "_empty.txt", "b_ü.txt", "links.txt"]


@pytest.fixture(scope="module")
def assets(house: House) -> list[Asset]:
    files = [house.file(content, name) for name, content in SONGS.items()]
    return [*files, house.link("https://example.com/stream", "The stream")]


def sold(house: House, assets: list[Asset], **terms: Any) -> tuple[Order, str]:
    order, _ = house.order(*assets)
    house.write(orders.set_terms, house.store.id, order, terms)
    return order, zip_path(house, order)


def grants(house: House, order: Order) -> list[GrantView]:
    return house.write(entitlements.view_by_id, house.store.id, order.id).grants


def uses(house: House, order: Order) -> list[int]:
    return [grant.used for grant in grants(house, order)]


def test_the_zip_holds_all_that_is_allowed_for_one_use_each(house: House, assets: list[Asset]) -> None:
    order, door = sold(house, assets)
    house.set(title="Mira's <shop>")
    head = house.request("HEAD", door)
    response = fetch(house, door)
    assert response.status_code == head.status_code == 200
    assert response.headers["content-length"] == head.headers["content-length"] == str(len(response.content))
    assert response.headers["content-type"] == head.headers["content-type"] == "application/zip"
    assert f"Mira's _shop_-{order.order_number}.zip" in response.headers["content-disposition"]
    assert "repr-digest" not in response.headers
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == NAMES
        assert [archive.read(name) for name in NAMES[:-1]] == list(SONGS.values())
        [line] = archive.read("links.txt").decode().splitlines()
    assert uses(house, order) == [1, 1, 1, 1, 0]
    name, _, url = line.partition(": ")
    assert (name, house.get(url).headers["location"]) == ("The stream", "https://example.com/stream")
    assert uses(house, order) == [1, 1, 1, 1, 1]


@pytest.mark.parametrize("command", [("unzip", "-tqq"), ("7z", "t")])
def test_the_programs_of_buyers_accept_it(
    house: House, assets: list[Asset], tmp_path: Path, command: tuple[str, ...]
) -> None:
    _, door = sold(house, assets)
    path = tmp_path / "all.zip"
    path.write_bytes(fetch(house, door).content)
    program = shutil.which(command[0])
    assert program is not None
    subprocess.run([program, *command[1:], path], check=True, capture_output=True)


def test_cut_anywhere_it_goes_on_with_the_same_bytes(house: House, assets: list[Asset]) -> None:
    order, door = sold(house, assets, downloads=1)
    path = opened(house, door)
    whole = house.get(path)
    etag = whole.headers["etag"]
    chooser = random.Random(4)  # noqa: S311 - it need not be hard to guess
    for cut in [0, 1, len(whole.content) - 1, *(chooser.randrange(len(whole.content)) for _ in range(8))]:
        begun = house.get(path, headers={"range": f"bytes=0-{cut}"})
        rest = house.get(path, headers={"range": f"bytes={cut + 1}-", "if-range": etag})
        assert rest.status_code == (206 if cut + 1 < len(whole.content) else 416)
        assert begun.content + (rest.content if rest.status_code == 206 else b"") == whole.content
    several = house.get(path, headers={"range": "bytes=10-20,-30"})
    assert several.status_code == 206
    assert whole.content[10:21] in several.content
    assert whole.content[-30:] in several.content
    assert uses(house, order) == [1, 1, 1, 1, 0]


def test_an_open_zip_is_joined_and_a_stranger_opens_another(house: House, assets: list[Asset]) -> None:
    order, door = sold(house, assets, downloads=2)
    assert opened(house, door) == opened(house, door) == opened(house, door, headers={"range": "bytes=5-"})
    assert opened(house, door, address=STRANGER.address) != opened(house, door)
    assert uses(house, order) == [2, 2, 2, 2, 0]
    assert house.get(door, address="127.0.0.9").json()["code"] == "download_limit_reached"


def test_a_zip_that_is_begun_is_answered_about_at_the_limit(house: House, assets: list[Asset]) -> None:
    order, door = sold(house, assets, downloads=1)
    whole = fetch(house, door)
    head = house.request("HEAD", door)
    assert (head.status_code, head.headers["etag"]) == (200, whole.headers["etag"])
    assert house.request("HEAD", door, address=STRANGER.address).status_code == 403
    for headers, status in (
        ({"if-none-match": whole.headers["etag"]}, 304),
        ({"if-match": '"another"'}, 412),
        ({"range": f"bytes={len(whole.content)}-"}, 416),
        ({"range": "bytes=0-9", "if-match": whole.headers["etag"]}, 302),
    ):
        assert house.get(door, headers=headers).status_code == status
    assert uses(house, order) == [1, 1, 1, 1, 0]


def test_a_range_outside_a_new_zip_spends_nothing(house: House, assets: list[Asset]) -> None:
    order, door = sold(house, assets)
    size_bytes = house.request("HEAD", door).headers["content-length"]
    response = house.get(door, headers={"range": f"bytes={size_bytes}-"})
    assert (response.status_code, response.headers["content-range"]) == (416, f"bytes */{size_bytes}")
    assert uses(house, order) == [0] * 5


def test_what_is_refused_is_left_out(house: House, assets: list[Asset]) -> None:
    order, door = sold(house, assets)
    house.write(orders.set_terms, house.store.id, order, {"downloads": 1})
    house.get(grant_path(house, order), address=STRANGER.address)
    response = fetch(house, door)
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.namelist() == ["Song.flac", *NAMES[2:]]
    assert uses(house, order) == [1, 1, 1, 1, 0]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_when_nothing_is_allowed_the_first_refusal_answers(house: House, assets: list[Asset], method: str) -> None:
    order, _ = house.order(*assets, standing=Standing.CANCELLED)
    response = house.request(method, zip_path(house, order))
    assert response.status_code == 403
    assert method == "HEAD" or response.json()["code"] == "order_cancelled"


def test_an_order_of_links_alone_has_no_zip(house: House, assets: list[Asset]) -> None:
    _, door = sold(house, assets[-1:])
    assert house.get(door).json()["code"] == "asset_unavailable"
    assert house.request("HEAD", door).status_code == 404


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_member_that_is_lost_fails_before_anything_is_spent(house: House, assets: list[Asset], method: str) -> None:
    lost = house.file(f"lost {method}".encode(), "lost.txt")
    order, door = sold(house, [lost, *assets])
    blob_path(house, order).unlink()
    response = house.request(method, door)
    assert response.status_code == 404
    assert uses(house, order) == [0] * 6


def test_a_member_lost_after_opening_fails_before_the_first_byte(house: House, assets: list[Asset]) -> None:
    lost = house.file(b"soon lost", "lost.txt")
    order, door = sold(house, [lost, *assets])
    path = opened(house, door)
    blob_path(house, order).unlink()
    assert house.get(path).json()["code"] == "asset_unavailable"
    assert house.get(path, headers={"range": "bytes=-9"}).status_code == 206


def test_a_prefetch_of_the_zip_spends_nothing(house: House, assets: list[Asset]) -> None:
    order, door = sold(house, assets)
    assert house.get(door, headers={"purpose": "prefetch"}).status_code == 204
    assert uses(house, order) == [0] * 5


def test_blocking_stops_the_zip(house: House, assets: list[Asset]) -> None:
    order, door = sold(house, assets)
    path = opened(house, door)
    house.write(orders.block, house.store.id, order.id, NOW)
    assert house.get(path).json()["code"] == "access_blocked"
    assert house.get(door).json()["code"] == "access_blocked"
