"""The operator's secret keys, and everything derived from them: signatures, keyed digests and sealed texts.

The first key signs, seals and derives; all of them verify and open. A sealed text begins with the id of the key it was
sealed under, so that a key that is still in use can be named when it is missing.
"""

import hashlib
import hmac
import os
from collections.abc import Iterable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from carryout.errors import CarryoutError, Kind

MAC_BYTES: Final = 16
KEY_ID_BYTES: Final = 4
_NONCE_BYTES: Final = 12
_BLOCK_BYTES: Final = 64


class SealBroken(CarryoutError):
    """A sealed text cannot be opened: its key (id {key_id}) is not among CARRYOUT_SECRET_KEY, or it was altered."""

    kind = Kind.MISCONFIGURED


class _Hmac:
    """HMAC-SHA-256 (RFC 2104) with both pads hashed beforehand: a ticket costs less than half of `hmac.digest`."""

    def __init__(self, key: bytes) -> None:
        block = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def digest(self, message: bytes) -> bytes:
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()


class SecretKey:
    """One secret and the keys derived from it (HMAC-SHA-256 with a label each)."""

    def __init__(self, secret: str) -> None:
        raw = secret.encode()
        self.key_id = _derive(raw, b"key id")[:KEY_ID_BYTES]
        self.tickets = _Hmac(_derive(raw, b"tickets"))
        self.digests = _derive(raw, b"digests")
        self.seal = ChaCha20Poly1305(_derive(raw, b"seal"))
        self.order_tokens = _derive(raw, b"order tokens")
        self.records = _derive(raw, b"records")


class Keyring:
    """All configured secrets, the signing one first."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self.keys = tuple(SecretKey(secret) for secret in secrets)
        self.first = self.keys[0]
        self._by_id = {key.key_id: key for key in self.keys}

    def sign(self, message: bytes) -> bytes:
        """The 128-bit signature of a ticket's message under the first key."""
        return _mac(self.first, message)

    def is_signed(self, message: bytes, signature: bytes) -> bool:
        """Whether any key made this signature; the comparison takes constant time."""
        matches = [hmac.compare_digest(_mac(key, message), signature) for key in self.keys]
        return any(matches)  # all were tried: the time must not tell which one fits

    def digest(self, purpose: str, text: str) -> bytes:
        """A keyed digest (32 bytes) of something personal, under the first key: equal texts can be found, not read."""
        return _keyed(self.first, purpose, text)

    def digests(self, purpose: str, text: str) -> list[bytes]:
        """The digests of a text under every key, the first key's first: what a look-up must try."""
        return [_keyed(key, purpose, text) for key in self.keys]

    def seal(self, plain: bytes, context: str) -> bytes:
        """Encrypt under the first key (ChaCha20-Poly1305); `context` must be the same when it is opened."""
        nonce = os.urandom(_NONCE_BYTES)
        return self.first.key_id + nonce + self.first.seal.encrypt(nonce, plain, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """The plain bytes of `seal`; raises `SealBroken` when no configured key opens it."""
        key = self._by_id.get(bytes(sealed[:KEY_ID_BYTES]))
        nonce_end = KEY_ID_BYTES + _NONCE_BYTES
        if key is None or len(sealed) < nonce_end:
            raise SealBroken(key_id=bytes(sealed[:KEY_ID_BYTES]).hex())
        try:
            return key.seal.decrypt(bytes(sealed[KEY_ID_BYTES:nonce_end]), bytes(sealed[nonce_end:]), context.encode())
        except InvalidTag:
            raise SealBroken(key_id=key.key_id.hex()) from None

    def authenticate(self, purpose: str, message: bytes) -> bytes:
        """The code (HMAC-SHA-256, RFC 2104) of a record under the first key: nobody without the key can make one."""
        return _authentic(self.first, purpose, message)

    def is_authentic(self, purpose: str, message: bytes, code: object, key_id: object) -> bool:
        """Whether the key of this id made the code of this record; False also when that key is not configured."""
        key = self._by_id.get(key_id) if isinstance(key_id, bytes) else None
        return (
            key is not None and isinstance(code, bytes) and hmac.compare_digest(_authentic(key, purpose, message), code)
        )

    def knows(self, key_id: bytes) -> bool:
        """Whether a key with this id is configured."""
        return bytes(key_id) in self._by_id


def _derive(secret: bytes, label: bytes) -> bytes:
    return hmac.digest(secret, b"carryout " + label, "sha256")


def _mac(key: SecretKey, message: bytes) -> bytes:
    return key.tickets.digest(message)[:MAC_BYTES]


def _keyed(key: SecretKey, purpose: str, text: str) -> bytes:
    return hmac.digest(key.digests, f"{purpose}\0{text}".encode(errors="surrogatepass"), "sha256")


def _authentic(key: SecretKey, purpose: str, message: bytes) -> bytes:
    return hmac.digest(key.records, purpose.encode() + b"\0" + message, "sha256")
