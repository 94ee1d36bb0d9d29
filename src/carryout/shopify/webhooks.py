"""The door of Shopify's webhooks: the signature over the raw bytes first, then the inbox, then the answer.

Shopify signs the body alone, so topic, shop and ids in the headers are claims of whoever sends; the shop chooses the
secret. The newer header names without `X-` are taken too. Every refusal for signature or shop is the same 401.
"""

import binascii
import hmac
from base64 import b64decode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from carryout.clock import Clock
from carryout.db import Database
from carryout.errors import CarryoutError
from carryout.keyring import Keyring
from carryout.merchants import service as merchants
from carryout.merchants.model import Store
from carryout.shopify.intake import Intake, derived_id
from carryout.shopify.model import Delivery, Outcome
from carryout.shopify.service import SignatureWrong
from carryout.shopify.translate import parse_time
from carryout.web.problems import BodyTooLarge

BODY_LIMIT_BYTES: Final = 10 * 1024 * 1024

_DIGEST_BYTES: Final = 32
_NAME_CHARS: Final = 200
_UNKNOWN_TOPIC: Final = "unknown"
_NO_SECRETS: Final = (b"an unknown shop costs as much time as a known one",)
_HEADERS: Final = frozenset({
    b"hmac-sha256", b"shop-domain", b"topic", b"webhook-id", b"event-id", b"triggered-at", b"api-version",
})  # fmt: skip


@dataclass(frozen=True)
class WebhookDoor:
    """`POST /webhooks/shopify`. `app_secret` signs for every shop, beside its own; `count` takes topic and outcome."""

    database: Database
    keyring: Keyring
    intake: Intake
    app_secret: str | None
    now: Clock
    count: Callable[[str, str], None]

    async def receive(self, request: Request) -> Response:
        """Take a delivery in; 200 once it is durable.

        Errors: `BodyTooLarge` (413, before all else), `SignatureWrong`, `NotJson`, a busy database (503).
        """
        raw = await _read_body(request)
        headers = _own_headers(request.scope["headers"])
        now = self.now()
        try:
            owner = await self._authenticate(headers, raw, now)
            delivery = _delivery(headers, raw, now)
            outcome = await self.intake.take_in(owner, delivery)
        except CarryoutError as error:
            self.count(_first(headers, b"topic") or _UNKNOWN_TOPIC, error.code)
            raise
        self.count(delivery.topic, outcome.value)
        return Response(_ANSWERS[outcome], media_type="application/json", headers={"cache-control": "no-store"})

    async def _authenticate(self, headers: dict[bytes, list[str]], raw: bytes, now: int) -> Store:
        signature = _read_signature(headers.get(b"hmac-sha256", []))
        shops = headers.get(b"shop-domain", [])
        signed = None
        if len(shops) == 1:
            signed = await self.database.read(merchants.find_by_domain, self.keyring, shops[0], now)
        secrets = list(signed.secrets if signed else _NO_SECRETS)
        if self.app_secret:
            secrets.append(self.app_secret.encode())
        is_signed = _is_signed(raw, signature, secrets)
        if signed is None or not is_signed or not raw:
            raise SignatureWrong
        return signed.store


async def _read_body(request: Request) -> bytes:
    """The body, of which no more than the limit is ever held. Errors: `BodyTooLarge`."""
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > BODY_LIMIT_BYTES:
        raise BodyTooLarge(limit_bytes=BODY_LIMIT_BYTES)
    chunks: list[bytes] = []
    size_bytes = 0
    async for chunk in request.stream():
        size_bytes += len(chunk)
        if size_bytes > BODY_LIMIT_BYTES:
            raise BodyTooLarge(limit_bytes=BODY_LIMIT_BYTES)
        chunks.append(chunk)
    return b"".join(chunks)


def _own_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, list[str]]:
    """Shopify's headers by what follows `X-Shopify-` or `Shopify-`, each with all its values."""
    found: dict[bytes, list[str]] = {}
    for name, value in headers:
        own = name.removeprefix(b"x-")
        if own.startswith(b"shopify-") and own[8:] in _HEADERS:
            found.setdefault(own[8:], []).append(value.decode("latin-1"))
    return found


def _read_signature(values: list[str]) -> bytes:
    """The digest in the one signature header; empty, which nothing matches, when it is not exactly that."""
    if len(values) != 1 or not values[0].isascii():
        return b""
    try:
        digest = b64decode(values[0], validate=True)
    except binascii.Error:
        return b""
    return digest if len(digest) == _DIGEST_BYTES else b""


def _is_signed(raw: bytes, signature: bytes, secrets: list[bytes]) -> bool:
    # All are tried, always: the time must not tell which one fits.
    matches = [hmac.compare_digest(hmac.digest(secret, raw, "sha256"), signature) for secret in secrets if secret]
    return any(matches)


def _delivery(headers: dict[bytes, list[str]], raw: bytes, now: int) -> Delivery:
    topic = _first(headers, b"topic") or _UNKNOWN_TOPIC
    return Delivery(
        delivery_id=_delivery_id(headers) or derived_id(topic, raw),
        topic=topic,
        raw=raw,
        # Without one it is older than all others, so that the order of arrival does not matter.
        triggered_at=parse_time(_first(headers, b"triggered-at") or "") or 0,
        received_at=now,
        event_id=_first(headers, b"event-id"),
        api_version=_first(headers, b"api-version"),
    )


def _delivery_id(headers: dict[bytes, list[str]]) -> str | None:
    """The delivery's own id; one that is too long to keep becomes its digest, so that no other is taken for it."""
    given = headers.get(b"webhook-id", [""])[0].strip()
    return given or None if len(given) <= _NAME_CHARS else derived_id(given, b"")


def _first(headers: dict[bytes, list[str]], name: bytes) -> str | None:
    values = headers.get(name)
    return values[0].strip()[:_NAME_CHARS] or None if values else None


_ANSWERS: Final = {outcome: msgspec.json.encode({"status": outcome.value}) for outcome in Outcome}
