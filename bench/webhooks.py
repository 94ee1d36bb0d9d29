"""Sends signed deliveries as fast as they are answered: `webhooks.py PORT FIRST SECONDS CONNECTIONS`.

Every delivery is a new order. What differs from order to order stands at the end of the body, so that the digest of the
long rest is taken once and the generator costs little beside the server. Prints its result as one line of JSON.
"""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orders as shop
import uvloop

_HEAD = (
    "POST /webhooks/shopify HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Shopify-Captain-Hook\r\n"
    "Content-Type: application/json\r\nX-Shopify-Topic: orders/paid\r\nX-Shopify-Api-Version: 2026-07\r\n"
    f"X-Shopify-Shop-Domain: {shop.DOMAIN}\r\nX-Shopify-Triggered-At: 2026-11-01T10:00:00.000000000Z\r\n"
    "X-Shopify-Event-Id: {event_id}\r\nX-Shopify-Webhook-Id: {webhook_id}\r\nX-Shopify-Hmac-Sha256: {signature}\r\n"
    "Content-Length: {length}\r\n\r\n"
)


class Deliveries:
    """The stream of orders, as the bytes of requests."""

    def __init__(self, first: int) -> None:
        template = json.loads(Path(__file__).with_name("order.json").read_text())
        self._line_item: dict[str, Any] = template["line_item"]
        self._stock = shop.products()
        self._prefix = _dump(template["order"])[:-1] + b","
        self._signature = hmac.new(shop.WEBHOOK_SECRET.encode(), self._prefix, hashlib.sha256)
        self._numbers = itertools.count(first)

    def next(self) -> bytes:
        """The next request."""
        number = next(self._numbers)
        tail = _dump(self._order(number))[1:]
        signature = self._signature.copy()
        signature.update(tail)
        head = _HEAD.format(
            event_id=f"event-{number}",
            webhook_id=f"{number:08x}-5f0c-4a5b-9d52-51f2a4f5a3c1",
            signature=base64.b64encode(signature.digest()).decode(),
            length=len(self._prefix) + len(tail),
        )
        return head.encode() + self._prefix + tail

    def _order(self, number: int) -> dict[str, Any]:
        token = webhook_token(number)
        order_id = shop.FIRST_ORDER_ID + number * 32_768
        return {
            "id": order_id,
            "admin_graphql_api_id": f"gid://shopify/Order/{order_id}",
            "name": f"#{shop.FIRST_ORDER_NUMBER + number}",
            "number": number,
            "order_number": shop.FIRST_ORDER_NUMBER + number,
            "token": token,
            "order_status_url": f"https://{shop.DOMAIN}/91740864812/orders/{token}/authenticate?key={token[::-1]}",
            "checkout_token": token[16:] + token[:16],
            "confirmation_number": f"N{number:08X}",
            "line_items": [self._line(number, position) for position in range(shop.LINES_PER_ORDER)],
        }

    def _line(self, number: int, position: int) -> dict[str, Any]:
        product = self._stock[(number * 7 + position * 11) % len(self._stock)]
        line_id = 15_514_960_888_108 + (number * shop.LINES_PER_ORDER + position) * 32_768
        return self._line_item | {
            "id": line_id,
            "admin_graphql_api_id": f"gid://shopify/LineItem/{line_id}",
            "name": f"{product.name} - {product.variant_name}",
            "title": product.name,
            "variant_title": product.variant_name,
            "product_id": product.product_id,
            "variant_id": product.variant_id,
            "sku": product.sku,
            "vendor": product.vendor,
        }


class Connection(asyncio.Protocol):
    """One kept-alive connection: the next delivery leaves when the last one was answered."""

    def __init__(self, deliveries: Deliveries, results: list[tuple[bool, float]], is_over: Callable[[], bool]) -> None:
        self._deliveries = deliveries
        self._results = results
        self._is_over = is_over
        self._received = b""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first delivery."""
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Wait for a whole answer."""
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank or len(body) < _content_length(head):
            return
        self._results.append((head.startswith(b"HTTP/1.1 200"), time.perf_counter() - self._sent_at))
        self._received = b""
        if self._is_over():
            self._transport.close()
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """Done, or cut by the server."""
        del exc
        if not self._is_over():
            self._results.append((False, 0.0))
        self.closed.set_result(None)

    def _send(self) -> None:
        request = self._deliveries.next()
        self._sent_at = time.perf_counter()
        self._transport.write(request)  # type: ignore[attr-defined]  # asyncio names the base class of a transport


def webhook_token(number: int) -> str:
    """The token of the order that a delivery brings."""
    return hashlib.sha256(b"delivered %d" % number).hexdigest()[:32]


async def send(port: int, first: int, seconds: float, connections: int) -> dict[str, float]:
    """Keep so many connections busy for so long."""
    deliveries, results = Deliveries(first), list[tuple[bool, float]]()
    started = time.perf_counter()

    def is_over() -> bool:
        return time.perf_counter() - started >= seconds

    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: Connection(deliveries, results, is_over), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(connection.closed for _, connection in opened))
    waits = sorted(wait for is_good, wait in results if is_good) or [0.0]
    return {
        "requests": len(results),
        "seconds": time.perf_counter() - started,
        "errors": sum(not is_good for is_good, _ in results),
        "p50_us": waits[len(waits) // 2] * 1e6,
        "p99_us": waits[len(waits) * 99 // 100] * 1e6,
        "generator_busy": time.process_time() / (time.perf_counter() - started),
    }


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


if __name__ == "__main__":
    _port, _first, _seconds, _connections = sys.argv[1:]
    print("RESULT " + json.dumps(uvloop.run(send(int(_port), int(_first), float(_seconds), int(_connections)))))
