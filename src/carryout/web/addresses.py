"""Who is asking: the client's address behind proxies that the operator trusts, and how it reached them.

The address is the first one from the right, over all `X-Forwarded-For` lines (or all `Forwarded` lines, RFC 7239, where
there are no others), that is not itself a trusted proxy. Headers of a peer that is not trusted are not looked at. IPv4
written as IPv6 is IPv4; of an IPv6 address the /64 counts, since one household has all of it.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Trusted = tuple[Network, ...]

UNKNOWN: Final = "unknown"

_FORWARDED_PAIR: Final = re.compile(r'(?:^|;)\s*(for|proto)\s*=\s*"?([^";\s]*)', re.IGNORECASE)
_BRACKETED: Final = re.compile(r"\[([^\]]*)\](?::\S*)?")
_HOPS: Final = 1000
_IPV6_PREFIX_BITS: Final = 64


def client_network(scope: Mapping[str, Any], trusted: Trusted) -> str:
    """The client's IPv4 address or IPv6 /64 as a text, or `unknown`; it never raises."""
    peer = scope.get("client")
    text = peer[0] if peer else ""
    if not trusted:
        return _network(text)
    address = _parse(text)
    if address is None or not _is_trusted(address, trusted):
        return _network(text)
    return _network(_last_untrusted(text, _hops(scope["headers"]), trusted))


def external_scheme(scope: Mapping[str, Any], trusted: Trusted) -> str:
    """`http` or `https`, as the client sees it: what the nearest trusted proxy says, else our own."""
    scheme = str(scope.get("scheme", "http"))
    peer = scope.get("client")
    address = _parse(peer[0]) if trusted and peer else None
    if address is None or not _is_trusted(address, trusted):
        return scheme
    said = _lines(scope["headers"], b"x-forwarded-proto") or _pairs(scope["headers"], "proto")
    last = said[-1].lower() if said else ""
    return last if last in ("http", "https") else scheme


def _last_untrusted(peer: str, hops: Sequence[str], trusted: Trusted) -> str:
    """Walk towards the client while the hops are ours; what a trusted proxy could not name ends the walk before it."""
    nearest = peer
    for hop in reversed(hops[-_HOPS:]):
        address = _parse(hop)
        if address is None:
            return nearest
        nearest = hop
        if not _is_trusted(address, trusted):
            return nearest
    return nearest


def _hops(headers: Sequence[tuple[bytes, bytes]]) -> list[str]:
    return _lines(headers, b"x-forwarded-for") or _pairs(headers, "for")


def _lines(headers: Sequence[tuple[bytes, bytes]], wanted: bytes) -> list[str]:
    joined = b",".join(value for name, value in headers if name == wanted).decode("latin-1")
    return [part.strip() for part in joined.split(",")] if joined else []


def _pairs(headers: Sequence[tuple[bytes, bytes]], wanted: str) -> list[str]:
    # No address has a comma in it, so a quote that a client left open hides none of what the proxies said after it.
    elements = _lines(headers, b"forwarded")
    found = [pair for element in elements for pair in _FORWARDED_PAIR.findall(element)]
    return [value for name, value in found if name.lower() == wanted]


@lru_cache(maxsize=4096)
def _network(text: str) -> str:
    address = _parse(text)
    if address is None:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.IPv6Network((int(address), _IPV6_PREFIX_BITS), strict=False))


@lru_cache(maxsize=4096)
def _is_trusted(address: Address, trusted: Trusted) -> bool:
    return any(address in network for network in trusted)


@lru_cache(maxsize=4096)
def _parse(text: str) -> Address | None:
    """The address in `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`, or None."""
    if bracketed := _BRACKETED.fullmatch(text):
        text = bracketed[1]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
