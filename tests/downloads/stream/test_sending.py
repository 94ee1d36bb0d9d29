"""The sending door: ranges and preconditions (RFC 9110), and who may go on with a download."""

import email
import time
from typing import Any, Final

import httpx
import pytest

from carryout.catalog.model import Asset
from carryout.orders import service as orders
from carryout.orders.model import Order
from carryout.tickets import TicketKind
from tests.cast import BEA, NOW, STRANGER
from tests.downloads.fetching import MIB, blob_path, fetch, grant_path, opened, pattern, replace
from tests.storefront.house import TICKETS, House

CONTENT: Final = pattern(300_000)
SIZE: Final = len(CONTENT)
MODIFIED: Final = "Tue, 24 Nov 2026 16:12:50 GMT"
PAGE: Final = {"accept": "text/html"}


@pytest.fixture(scope="module")
def book(house: House) -> Asset:
    return house.file(CONTENT)


@pytest.fixture(scope="module")
def path(house: House, book: Asset) -> str:
    """A download that is open, of which every test may take a little."""
    order, _ = house.order(book)
    return opened(house, grant_path(house, order))


@pytest.fixture(scope="module")
def etag(house: House, path: str) -> str:
    return house.request("HEAD", path).headers["etag"]


def sold(house: House, asset: Asset, **terms: Any) -> tuple[Order, str]:
    order, _ = house.order(asset)
    house.write(orders.set_terms, house.store.id, order, terms)
    return order, grant_path(house, order)


# ── ranges


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("0-0", 0, 1),
        ("-5", SIZE - 5, SIZE),
        (f"-{SIZE + 9}", 0, SIZE),
        ("0-", 0, SIZE),
        (f"{SIZE - 1}-", SIZE - 1, SIZE),
        (f"{SIZE - 9}-{SIZE + 99}", SIZE - 9, SIZE),
        ("70000-140000", 70_000, 140_001),
    ],
)
def test_a_range_is_sent_as_it_was_asked_for(house: House, path: str, asked: str, start: int, end: int) -> None:
    response = house.get(path, headers={"range": f"bytes={asked}"})
    assert (response.status_code, response.content) == (206, CONTENT[start:end])
    assert response.headers["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"
    assert response.headers["content-length"] == str(end - start)
    assert response.headers["content-type"] == "application/epub+zip"
    assert "repr-digest" in response.headers


@pytest.mark.parametrize("asked", ["-0", f"{SIZE}-", f"{SIZE + 5}-{SIZE + 9}"])
def test_a_range_outside_the_file_is_a_416_with_its_size(house: House, path: str, asked: str) -> None:
    response = house.get(path, headers={"range": f"bytes={asked}"})
    assert (response.status_code, response.headers["content-range"]) == (416, f"bytes */{SIZE}")
    assert response.json()["code"] == "range_not_satisfiable"


@pytest.mark.parametrize(
    "asked", ["bytes=5-4", "bytes=abc", "bytes", "items=0-5", "bytes=0-1;5-9", "bytes=" + "0-," * 50]
)
def test_a_malformed_range_is_ignored(house: House, book: Asset, asked: str) -> None:
    _, door = sold(house, book)
    response = fetch(house, door, headers={"range": asked})
    assert (response.status_code, response.content) == (200, CONTENT)


def test_several_ranges_are_parts_of_one_answer(house: House, path: str) -> None:
    response = house.get(path, headers={"range": "bytes=9-19, 200000-200099,-5"})
    assert response.status_code == 206
    assert len(response.content) == int(response.headers["content-length"])
    head = f"Content-Type: {response.headers['content-type']}\r\n\r\n".encode()
    parts: Any = email.message_from_bytes(head + response.content).get_payload()
    found = [(part["content-range"], part.get_payload(decode=True)) for part in parts]
    spans = [(9, 20), (200_000, 200_100), (SIZE - 5, SIZE)]
    assert found == [(f"bytes {start}-{end - 1}/{SIZE}", CONTENT[start:end]) for start, end in spans]
    assert {part["content-type"] for part in parts} == {"application/epub+zip"}


def test_very_many_ranges_are_no_way_to_more_than_the_file(house: House, book: Asset) -> None:
    _, door = sold(house, book)
    many = ",".join(f"{number * 1000}-{number * 1000}" for number in range(200))
    began = time.monotonic()
    response = fetch(house, door, headers={"range": f"bytes={many}"})
    assert len(response.content) <= SIZE
    assert time.monotonic() - began < 1


def test_two_range_fields_are_never_half_obeyed(house: House, book: Asset) -> None:
    _, door = sold(house, book)
    response = fetch(house, door, headers=httpx.Headers([("range", "bytes=0-9"), ("range", "bytes=20-29")]))
    assert (response.status_code, response.content) == (200, CONTENT)


# ── preconditions


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("ETAG", 206),
        (MODIFIED, 206),
        ('"another"', 200),
        ("W/ETAG", 200),
        ("Mon, 23 Nov 2026 16:12:50 GMT", 200),
        ("nonsense", 200),
    ],
)
def test_a_range_goes_on_with_this_file_only(house: House, book: Asset, etag: str, condition: str, status: int) -> None:
    _, door = sold(house, book)
    headers = {"range": "bytes=10-19", "if-range": condition.replace("ETAG", etag)}
    response = fetch(house, door, headers=headers)
    assert (response.status_code, response.content) == (status, CONTENT[10:20] if status == 206 else CONTENT)


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("if-match", "ETAG", 206),
        ("if-match", "*", 206),
        ("if-match", '"another"', 412),
        ("if-match", "W/ETAG", 412),
        ("if-unmodified-since", MODIFIED, 206),
        ("if-unmodified-since", "Mon, 23 Nov 2026 16:12:50 GMT", 412),
        ("if-none-match", "ETAG", 304),
        ("if-none-match", "W/ETAG", 304),
        ("if-none-match", '"another"', 206),
        ("if-modified-since", MODIFIED, 304),
        ("if-modified-since", "Mon, 23 Nov 2026 16:12:50 GMT", 206),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_preconditions_are_asked_first(
    house: House, path: str, etag: str, name: str, value: str, status: int, method: str
) -> None:
    headers = {name: value.replace("ETAG", etag), "range": "bytes=0-4"}
    response = house.request(method, path, headers=headers)
    assert response.status_code == (200 if method == "HEAD" and status == 206 else status)
    if response.status_code != 412:
        assert response.headers["etag"] == etag
    if status == 304:
        assert response.content == b""


# ── HEAD, prefetches, other methods


def test_head_is_a_get_without_the_bytes(house: House, book: Asset) -> None:
    order, door = sold(house, book, addresses=1)
    path = opened(house, door)
    head = house.request("HEAD", path, headers={"range": "bytes=0-9"}, address=STRANGER.address)
    whole = house.get(path)
    assert (head.status_code, head.content) == (200, b"")
    per_request = {"date", "x-request-id"}
    assert {name: value for name, value in head.headers.items() if name not in per_request} == {
        name: value for name, value in whole.headers.items() if name not in per_request
    }
    assert house.grant(order).used == 1


def test_a_prefetch_of_the_bytes_is_answered_with_nothing(house: House, book: Asset) -> None:
    _, door = sold(house, book, addresses=1)
    path = opened(house, door)
    response = house.get(path, headers={"sec-purpose": "prefetch"}, address=STRANGER.address)
    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_not_allowed(house: House, path: str, method: str) -> None:
    assert house.request(method, path).status_code == 405


# ── who may go on


def test_a_resumed_download_is_free_though_the_limit_is_reached(house: House, book: Asset, etag: str) -> None:
    order, door = sold(house, book, downloads=1)
    path = opened(house, door)
    house.get(path, headers={"range": "bytes=0-119999"})
    rest = house.get(path, headers={"range": "bytes=120000-", "if-range": etag})
    assert (rest.status_code, rest.content) == (206, CONTENT[120_000:])
    assert house.grant(order).used == 1


def test_a_new_address_in_a_download_counts(house: House, book: Asset) -> None:
    _, door = sold(house, book, addresses=2)
    path = opened(house, door)
    addresses = [BEA.address, "127.0.0.7", BEA.address, "127.0.0.1"]
    answers = [house.get(path, address=address, headers={"range": "bytes=0-9"}) for address in addresses]
    assert [answer.status_code for answer in answers] == [206, 403, 206, 206]
    assert answers[1].json()["code"] == "ip_limit_reached"
    assert house.get(door, address="127.0.0.7").json()["code"] == "ip_limit_reached"


def test_blocking_stops_what_was_opened(house: House, book: Asset) -> None:
    order, door = sold(house, book)
    path = opened(house, door)
    house.write(orders.block, house.store.id, order.id, NOW)
    for method in ("HEAD", "GET"):
        response = house.request(method, path)
        assert response.status_code == 403
    assert response.json()["code"] == "access_blocked"
    assert house.get(path, headers=PAGE).headers["content-type"] == "text/html; charset=utf-8"


def test_release_and_expiry_do_not_stop_what_was_opened_in_time(house: House, book: Asset) -> None:
    order, door = sold(house, book)
    path = opened(house, door)
    house.write(orders.set_terms, house.store.id, order, {"expires_at": 1})
    assert house.get(door).status_code == 410
    assert house.get(path).content == CONTENT


def test_an_ended_download_leads_back_to_the_order(house: House, book: Asset) -> None:
    order, door = sold(house, book)
    path = opened(house, door)
    for _ in range(5):  # its budget is 1.6 MB
        assert house.get(path).content == CONTENT
    with pytest.raises(httpx.TransportError):  # what it does not cover breaks off, and looks like it
        house.get(path)
    answer = house.get(path)
    assert (answer.status_code, answer.json()["code"]) == (410, "session_ended")
    page = house.get(path, headers=PAGE)
    assert page.status_code == 410
    order_page = TICKETS.issue(TicketKind.ORDER, house.store.id, order.id, 1)
    assert f'href="{house.server.base_url}/o/{order_page}"' in page.text
    assert house.request("HEAD", path).status_code == 410


def test_who_comes_at_once_after_the_last_byte_is_told_that_it_ended(house: House, book: Asset) -> None:
    _, door = sold(house, book)
    path = opened(house, door)
    head = f"GET {path} HTTP/1.1\r\nhost: x\r\n"
    rest = 2 * SIZE + MIB - 5 * SIZE
    asked = [head + "\r\n"] * 5 + [f"{head}range: bytes=0-{rest - 1}\r\n\r\n", f"{head}connection: close\r\n\r\n"]
    answers = house.raw("".join(asked).encode())  # one after another, and nothing between them
    assert answers.count(b"HTTP/1.1 200 OK") == 5
    assert answers.count(b"HTTP/1.1 206 ") == 1
    assert answers.rpartition(b"HTTP/1.1 ")[2].startswith(b"410 ")


def test_a_revoked_ticket_and_a_wrong_one_are_the_same_404(house: House, book: Asset) -> None:
    order, door = sold(house, book)
    path = opened(house, door)
    house.write(orders.revoke_links, house.store.id, order.id)
    ticket = path.split("/")[2]
    wrong = [ticket, ticket[:-1], ticket.swapcase(), TICKETS.issue(TicketKind.GRANT, house.store.id, 1, 1), "x"]
    wrong.append(TICKETS.issue(TicketKind.SESSION, house.store.id, 2**40, 1))
    answers = [house.get(f"/f/{each}/book.epub") for each in wrong]
    assert {(answer.status_code, answer.content) for answer in answers} == {(404, answers[0].content)}
    assert answers[0].json()["code"] == "link_unknown"


def test_a_file_lost_after_opening_is_missed_before_the_first_byte(house: House) -> None:
    asset = house.file(b"soon gone" * 100)
    order, door = sold(house, asset)
    path = opened(house, door)
    blob_path(house, order).unlink()
    for method in ("GET", "HEAD"):
        assert house.request(method, path).status_code == 404
    assert house.get(path).json()["code"] == "asset_unavailable"


def test_a_replaced_file_is_finished_as_it_was_begun(house: House) -> None:
    asset = house.file(b"first edition")
    _, door = sold(house, asset)
    path = opened(house, door)
    assert house.get(path, headers={"range": "bytes=0-4"}).content == b"first"
    replace(house, asset, b"second edition")
    assert house.get(path, headers={"range": "bytes=5-"}).content == b" edition"
    assert fetch(house, door, address=STRANGER.address).content == b"second edition"
