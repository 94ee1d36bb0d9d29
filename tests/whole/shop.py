"""Mira's shop as the world sees it: signed deliveries, a file that is sold, and buyers at their own addresses."""

import base64
import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from carryout.keyring import Keyring
from carryout.tickets import TicketKind, Tickets
from tests.cast import BEA, MIRA
from tests.conftest import SECRET
from tests.world.program import Cli, Server

VARIANT: Final = 50_398_373_085_484
ORDER: Final = 6_198_424_240_000
PRODUCT: Final = {
    "id": 9_782_123_692_332,
    "title": "Field recordings",
    "vendor": "Mira",
    "tags": "",
    "updated_at": "2026-11-19T08:00:00Z",
    "variants": [{"id": VARIANT, "product_id": 9_782_123_692_332, "title": "Lossless", "sku": "SKU-1"}],
}
_WAIT_SECONDS: Final = 20


@dataclass(frozen=True)
class Reply:
    """An answer of the server."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Its JSON."""
        return json.loads(self.body)


def send(
    server: Server,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    *,
    address: str = "127.0.0.1",
) -> Reply:
    """One request over a connection of its own, from this loopback address."""
    with closing(
        http.client.HTTPConnection("127.0.0.1", server.port, timeout=30, source_address=(address, 0))
    ) as connection:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())


def token_of(number: int) -> str:
    """The token of an order: 32 hexadecimal digits, as Shopify's."""
    return hashlib.md5(f"order {number}".encode(), usedforsecurity=False).hexdigest()


def order_body(number: int = 1, **changes: Any) -> dict[str, Any]:
    """Bea's paid order of one line."""
    body: dict[str, Any] = {
        "id": ORDER + number,
        "token": token_of(number),
        "order_number": 1000 + number,
        "name": f"#{1000 + number}",
        "financial_status": "paid",
        "cancelled_at": None,
        "created_at": "2026-11-20T08:00:00Z",
        "updated_at": "2026-11-20T08:00:01Z",
        "email": BEA.email,
        "customer": {"id": 191_167, "email": BEA.email, "first_name": "Beatrix", "last_name": "Buyerson"},
        "line_items": [
            {
                "id": 15_514_960_000_000 + number,
                "product_id": 9_782_123_692_332,
                "variant_id": VARIANT,
                "title": "Field recordings",
                "sku": "SKU-1",
                "quantity": 1,
            }
        ],
        "refunds": [],
    }
    return body | changes


def deliver(server: Server, topic: str, body: Any, delivery_id: str, secret: str = MIRA.webhook_secret) -> Reply:
    """One webhook, signed."""
    raw = json.dumps(body).encode()
    headers = {
        "Content-Type": "application/json",
        "X-Shopify-Topic": topic,
        "X-Shopify-Shop-Domain": MIRA.domain,
        "X-Shopify-Webhook-Id": delivery_id,
        "X-Shopify-Triggered-At": "2026-11-20T08:00:02Z",
        "X-Shopify-Hmac-Sha256": base64.b64encode(hmac.digest(secret.encode(), raw, "sha256")).decode(),
    }
    return send(server, "POST", "/webhooks/shopify", raw, headers)


def view(server: Server, token: str, *, address: str = "127.0.0.1") -> Reply:
    """The customer endpoint."""
    return send(server, "GET", f"/api/v2/customer-account-orders?id={token}", address=address)


def download(server: Server, url: str, *, address: str = BEA.address) -> Reply:
    """What the deciding door answers, or the sending door to which it leads, read to its end."""
    decided = send(server, "GET", urlsplit(url).path, address=address)
    onward = urlsplit(decided.headers.get("location", ""))
    return send(server, "GET", onward.path, address=address) if onward.path.startswith("/f/") else decided


def eventually(is_so: Callable[[], Any]) -> Any:
    """Ask until it is so; what it was. To ask is to wait: for the answer of a server, a command or a disk."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while not (found := is_so()):
        assert time.monotonic() < deadline, "it never came to be"
    return found


@dataclass
class Shop:
    """An installation with Mira's store and one file; `cli` is its command line."""

    cli: Cli
    content: bytes = field(default=b"the sound of snow " * 1000)
    filename: str = "Snow.wav"

    def open(self, folder: Path, **settings: str) -> "Shop":
        """Make the store, its settings, and the file for `VARIANT`."""
        words = ("--domain", MIRA.domain, "--webhook-secret", MIRA.webhook_secret)
        self.cli.ok("store", "create", MIRA.name, *words)
        if settings:
            self.cli.ok("store", "set", MIRA.domain, *(f"{key}={value}" for key, value in settings.items()))
        product = folder / "product.json"
        product.write_text(json.dumps(PRODUCT))
        self.cli.ok("ingest", "--store", MIRA.domain, "--topic", "products/create", product)
        path = folder / self.filename
        path.write_bytes(self.content)
        added = self.cli.ok("asset", "add", "--store", MIRA.domain, path, "--json").json
        self.cli.ok("asset", "attach", "--store", MIRA.domain, added[0]["id"], "--variant", str(VARIANT))
        return self

    def grant(self, number: int = 1) -> dict[str, Any]:
        """The only grant of an order, as the command line shows it."""
        shown = self.cli.ok("order", "show", "--store", MIRA.domain, str(ORDER + number), "--json").json
        assert len(shown["grants"]) == 1
        grant: dict[str, Any] = shown["grants"][0]
        return grant

    def link(self, server: Server, number: int = 1) -> str:
        """The link that the customer endpoint hands out for an order's only asset."""
        return str(assets_of(view(server, token_of(number)).json)[0]["url"])


def assets_of(document: Any) -> list[dict[str, Any]]:
    """Every object in a reply that has a link, wherever it stands."""
    if isinstance(document, list):
        return [found for item in document for found in assets_of(item)]
    if not isinstance(document, dict):
        return []
    own = [document] if "url" in document and "filename" in document else []
    return own + [found for item in document.values() for found in assets_of(item)]


def forged_ticket() -> str:
    """A ticket of a key that is not ours."""
    return Tickets(Keyring(["a key that nobody configured"])).issue(TicketKind.GRANT, 1, 1, 0)


def wrong_ticket() -> str:
    """A ticket of our key for a row that does not exist."""
    return Tickets(Keyring([SECRET])).issue(TicketKind.GRANT, 1, 999_999, 0)


@contextmanager
def stopped(server: Server) -> Iterator[Server]:
    """The server, asked to stop at the end, which must end well."""
    yield server
    assert server.stop() == 0
