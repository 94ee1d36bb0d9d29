"""Odd requests of every kind, written by hand: each is answered, none with a 5xx, and nobody else's order is shown."""

import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from carryout.settings import load
from tests.cast import MIRA, OTHER
from tests.contract.scene import Scene, dumped, order_body, set_scene, signature, webhook
from tests.world.program import Server

SECRET = "the secret key of the tests"
CUSTOMER = "/api/v2/customer-account-orders"
# As they stand in the request line.
TEXTS = (
    "", "%00", "a%00b", "%", "%zz", "%ff%fe", "%c3%28", "%ed%a0%80", "%f4%90%80%80", "%F0%9F%93%9A", "+", "%2B", "%20",
    "..", "..%2f..%2fetc%2fpasswd", "%5c", "%0d%0aX:%20y", "'%20OR%201=1--", "%27%3B", "9" * 400, "-1", "%7f", "null",
    "[object%20Object]", "A" * 44, "A" * 43, "A" * 20_000, "%00" * 5_000,
)  # fmt: skip
QUERIES = (
    "", "?", "?id", "?id=", "?id=&id=", "?id[]=x", "?ID=x", "?=", "?&&&", "?id=x&id=y", "?id=x&shop=", "?shop=x",
    "?id=x&shop=a&shop=b", "?id=x&shop=%00", "?id=x&shop=%ff", "?id=x&shop=%ed%a0%80", "?%69%64=x", "?id=x;shop=y",
    "?id=x&" + "a=b&" * 5_000,
)  # fmt: skip
HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-forwarded-for", b"\xff, 1.2.3.4, not an address"),
    (b"accept", b"\xff"),
    (b"accept", b"text/html;" * 1000),
    (b"sec-purpose", b"\xe9"),
    (b"user-agent", b"\xf0\x9f\x93\x9a" * 200),
    (b"cookie", b"a=b;" * 2000),
    (b"if-none-match", b'\xff,,",'),
    (b"range", b"bytes=0-0,-1,x"),
)
HOOK_HEADERS: dict[str, tuple[str | bytes, ...]] = {
    "topic": ("", "x" * 10_000, "orders/create,orders/paid", "ORDERS/CREATE", b"\xff\xfe", "orders/\u00e9", "'; DROP"),
    "webhook_id": ("", "d" * 10_000, b"\xff", b"\xed\xa0\x80", "' OR 1=1", "\u00a0", "-"),
    "event_id": ("", "e" * 10_000, b"\x80\x81"),
    "triggered_at": (
        "", "yesterday", "0000-00-00", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+23:59", "1e400", b"\xff",
        "2026-11-20T08:00:00", "-1", "9" * 5_000, "2026-11-20T08:00:00+99:99",
    ),
    "api_version": ("", "v" * 10_000, b"\xff"),
}  # fmt: skip
SHOPS: tuple[str | bytes, ...] = (
    "",
    "nobody.myshopify.com",
    b"\xff\xfe",
    "\u00e9.myshopify.com",
    "s" * 10_000,
    "' OR 1=1",
    "..",
)
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 1e308, "", "text", "\0", "a\0b", "\ud800", "\udfff\ud800", "x" * 100_000, [], {}, [[]],
    [None], {"a": None}, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**400, "9" * 400,
    "2026-13-45", "NaN",
)  # fmt: skip
OTHER_TOPICS = (
    "orders/edited", "orders/delete", "orders/risk_assessment_changed", "refunds/create", "products/create",
    "products/delete", "app/uninstalled", "shop/update", "customers/redact", "customers/data_request", "unheard/of",
)  # fmt: skip
RAW = (
    b"null", b"true", b"0", b"-0", b"1e999", b'""', b'"\\ud800"', b"[]", b"{}", b" {} ", b"\xef\xbb\xbf{}", b'{"":{}}',
    b'{"id":1,"id":2}', b'{"id":1,"id":"x","line_items":[],"line_items":null}', b'{"id":"\\u0000"}', b'{"\\u0000":1}',
    b'{"id":' + b"9" * 10_000 + b"}", b'{"id":1e5}', b"[" * 500 + b"]" * 500, b"[" * 100_000 + b"]" * 100_000,
    b"[" * 100_000, b'{"a":' * 20_000 + b"1" + b"}" * 20_000, b"[" + b"1," * 100_000 + b"1]",
)  # fmt: skip
NO_JSON = (
    b"{", b"nul", b"NaN", b"Infinity", b'{"id":NaN}', b"{}{}", b"\xff", b'"\xed\xa0\x80"', b'"\xff"', b"{'id':1}",
    b'{"id":01}', b"\0", b"{}\0", b'{"a":"\x00"}', b"<xml/>", b"id=1", "{}".encode("utf-16"),
)  # fmt: skip


@dataclass(frozen=True)
class Installed:
    """A scene, and a client of the server that plays it."""

    scene: Scene
    client: httpx.Client


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """One server for all that is asked here; nothing here depends on what was asked before."""
    folder = tmp_path_factory.mktemp("odd")
    url = f"sqlite:///{folder / 'carryout.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("cluster").make_migrated()
    else:
        shutil.copyfile(request.getfixturevalue("migrated_file"), folder / "carryout.db")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CARRYOUT_")}
    environment = kept | {
        "CARRYOUT_DATA_DIR": str(folder),
        "CARRYOUT_DATABASE_URL": url,
        "CARRYOUT_SECRET_KEY": SECRET,
        "CARRYOUT_GUESS_LIMIT": "0",
        "CARRYOUT_LOG_LEVEL": "error",
    }
    scene = set_scene(load(environment, folder))
    server = Server(environment, folder)
    try:
        with httpx.Client(base_url=server.base_url, trust_env=False, timeout=30) as client:
            yield Installed(scene, client)
            assert client.get("/readyz").status_code == 200
    finally:
        server.kill()
    # An unknown error would have been logged, also one that only made a delivery wait.
    assert "failed" not in server.log, server.log


@pytest.fixture
def scene(installed: Installed) -> Scene:
    return installed.scene


@pytest.fixture
def client(installed: Installed) -> httpx.Client:
    return installed.client


def ask(client: httpx.Client, target: str, method: str = "GET", **options: Any) -> httpx.Response:
    """Send a request line as it is written."""
    url = client.base_url.copy_with(raw_path=target.encode())
    return client.send(httpx.Request(method, url, **options))


def deliver(client: httpx.Client, request: httpx.Request) -> httpx.Response:
    url = client.base_url.copy_with(raw_path=b"/webhooks/shopify")
    named = [(name, value) for name, value in request.headers.raw if name.lower() != b"host"]
    return client.send(httpx.Request("POST", url, headers=named, content=request.content))


def test_no_token_finds_an_order_that_it_does_not_name(client: httpx.Client, scene: Scene) -> None:
    for text in (
        *TEXTS,
        scene.tokens[0].upper(),
        scene.tokens[0] + "%00",
        scene.tokens[0] + "%20",
        scene.tokens[0][:-1],
    ):
        assert ask(client, f"{CUSTOMER}?id={text}").status_code == 404, text[:60]


def test_every_query_is_answered(client: httpx.Client) -> None:
    for query in QUERIES:
        reply = ask(client, CUSTOMER + query)
        assert reply.status_code in (404, 422), query[:60]
        assert reply.headers["access-control-allow-origin"] == "*"


def test_no_shop_finds_anothers_order(client: httpx.Client, scene: Scene) -> None:
    assert ask(client, f"{CUSTOMER}?id={scene.tokens[0]}&shop={MIRA.domain.upper()}").status_code == 200
    for text in (*TEXTS, OTHER.domain, MIRA.domain + "%00", MIRA.domain + "."):
        assert ask(client, f"{CUSTOMER}?id={scene.tokens[0]}&shop={text}").status_code == 404, text[:60]


def test_no_ticket_opens_what_it_does_not_name(client: httpx.Client, scene: Scene) -> None:
    ticket = scene.tickets[0][0]
    forged = (
        ticket[:-1] + ("A" if ticket[-1] != "A" else "B"),
        ticket + "=",
        ticket.lower(),
        ticket + "%00",
        " " + ticket,
    )
    for text in (*TEXTS, *forged):
        reply = ask(client, f"/d/{text.replace(' ', '%20')}/name")
        assert (reply.status_code, reply.json()["code"] in ("link_unknown", "not_found")) == (404, True), text[:60]


def test_a_link_works_whatever_name_stands_in_it(client: httpx.Client, scene: Scene) -> None:
    for text in TEXTS:
        reply = ask(client, f"/d/{scene.tickets[0][0]}/{text}")
        is_one_segment = text not in ("", "..", "..%2f..%2fetc%2fpasswd")  # the client itself resolves `..`
        assert reply.status_code == (302 if is_one_segment else 404), text[:60]


def test_odd_headers_change_nothing(client: httpx.Client, scene: Scene) -> None:
    for name, value in HEADERS:
        for target in (
            f"{CUSTOMER}?id={scene.tokens[0]}",
            scene.links[0],
            "/docs",
            "/openapi.json",
            "/metrics",
            "/readyz",
        ):
            reply = ask(client, target, headers=[(name, value)])
            assert reply.status_code in (200, 302, 304), (name, target)


def test_what_no_header_may_hold_is_a_bad_request(client: httpx.Client) -> None:
    for line in (b"X-Shopify-Topic: a\0b", b"X-Shopify-Shop-Domain: a\0b", b"X-Shopify-Webhook-Id: \0"):
        assert raw_exchange(client, line).startswith(b"HTTP/1.1 400 "), line


def raw_exchange(client: httpx.Client, line: bytes) -> bytes:
    """Send a webhook with a header line that no library would send."""
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=20) as connection:
        connection.sendall(
            b"POST /webhooks/shopify HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n"
            + line
            + b"\r\n\r\n{}"
        )
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_delivery_is_kept_whatever_its_headers_say(client: httpx.Client) -> None:
    for number, (name, values) in enumerate(HOOK_HEADERS.items()):
        for index, value in enumerate(values):
            raw = dumped(order_body(id=1000 * (number + 1) + index))
            reply = deliver(client, webhook(raw, **({"webhook_id": f"{name} {index}"} | {name: value})))
            assert (reply.status_code, reply.json()["status"] != "duplicate") == (200, True), (name, str(value)[:60])


def test_two_long_delivery_ids_are_two_deliveries(client: httpx.Client) -> None:
    raw = dumped(order_body(id=77))
    replies = [deliver(client, webhook(raw, webhook_id="i" * 5_000 + end)) for end in ("a", "b", "a")]

    assert [reply.json()["status"] for reply in replies] == ["applied", "applied", "duplicate"]


def test_a_delivery_for_no_shop_or_for_two_is_refused_alike(client: httpx.Client) -> None:
    raw = dumped(order_body())
    replies = [deliver(client, webhook(raw, shop_domain=shop)) for shop in SHOPS]
    replies += [
        deliver(client, webhook(raw, hmac_sha256=text)) for text in ("", "x", "=" * 44, b"\xff" * 44, signature(b""))
    ]
    replies += [deliver(client, webhook(b"", hmac_sha256=signature(b"")))]

    assert {reply.status_code for reply in replies} == {401}
    assert len({reply.content for reply in replies}) == 1


def test_an_odd_order_is_kept(client: httpx.Client) -> None:
    keep_all(client, "orders/create", [*RAW, *(dumped(body) for body in odd_orders())])


@pytest.mark.parametrize("topic", OTHER_TOPICS)
def test_an_odd_body_is_kept(client: httpx.Client, topic: str) -> None:
    # A redaction has whole tables rewritten, so fewer of them.
    bodies = list(odd_bodies())[:: 6 if topic == "customers/redact" else 1]

    keep_all(client, topic, [*RAW, *map(dumped, bodies)])


def keep_all(client: httpx.Client, topic: str, bodies: list[bytes]) -> None:
    for number, raw in enumerate(bodies):
        reply = deliver(client, webhook(raw, topic, webhook_id=f"{topic} {number}"))
        assert reply.status_code == 200, (raw[:200], reply.text)
        assert reply.json()["status"] in ("applied", "ignored", "parked"), raw[:200]


LINE = {"id": 1, "product_id": 100, "variant_id": 101, "title": "Book", "quantity": 1}
BODY = order_body(
    order_id=1, order_edit={"order_id": 1}, risk_level="high", title="Book", variants=[{"id": 1, "title": "EPUB"}],
    tags="a, b", refunds=[{"id": 1, "refund_line_items": [{"line_item_id": 1, "quantity": 1}]}], name="#1",
    refund_line_items=[{"line_item_id": 1, "quantity": 1}], customer={"id": 1, "email": "bea@example.com"},
    email="bea@example.com", orders_to_redact=[1], cancelled_at=None, line_items=[LINE], customer_locale="en",
    shop_domain="other.myshopify.com", provider="x", updated_at="2026-11-20T08:00:01Z",
)  # fmt: skip


def odd_bodies() -> Iterator[dict[str, Any]]:
    """A payload for any topic with a field gone, and with all the others of a value that nobody expects."""
    for field in BODY:
        yield {name: value for name, value in BODY.items() if name != field}
    ids = {"id": 1, "order_id": 1, "order_edit": {"order_id": 1}, "risk_level": "high"}
    for value in VALUES:
        yield dict.fromkeys(BODY, value)
        yield dict.fromkeys(BODY, value) | ids
        yield BODY | {"variants": [{"id": 1, "title": value, "sku": value}], "customer": {"id": value, "email": value}}
        yield BODY | {"refund_line_items": [{"line_item_id": 1, "quantity": value}], "orders_to_redact": [value, 1]}


def odd_orders() -> Iterator[dict[str, Any]]:
    """An order with one field gone, or of a value that nobody expects."""
    yield from odd_bodies()
    for value in VALUES:
        for field in BODY:
            yield BODY | {field: value}
        for field in LINE:
            yield BODY | {"line_items": [LINE | {field: value}]}
        yield BODY | {"refunds": [{"id": 1, "refund_line_items": [{"line_item_id": 1, "quantity": value}]}]}


def test_what_is_not_json_is_said_to_be_so(client: httpx.Client) -> None:
    for raw in NO_JSON:
        reply = deliver(client, webhook(raw))
        assert (reply.status_code, reply.json().get("code")) == (400, "not_json"), raw[:60]
