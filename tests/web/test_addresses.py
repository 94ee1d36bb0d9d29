import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryout.web.addresses import Trusted, client_network, external_scheme
from tests.web.serving import scope

PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
Headers = list[tuple[bytes, bytes]]


def asked_by(peer: str, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return scope(headers=list(headers)) | {"client": (peer, 1)}


def forwarded_for(*lines: bytes) -> Headers:
    return [(b"x-forwarded-for", line) for line in lines]


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("nonsense", "unknown"),
    ],
)
def test_a_peer_counts_by_its_network(peer: str, network: str) -> None:
    assert client_network(asked_by(peer), ()) == network


def test_a_socket_without_an_address_is_unknown() -> None:
    assert client_network(scope() | {"client": None}, ()) == "unknown"
    assert client_network(scope() | {"client": None}, PROXIES) == "unknown"


@pytest.mark.parametrize("trusted", [(), PROXIES])
def test_headers_of_an_untrusted_peer_are_ignored(trusted: Trusted) -> None:
    request = asked_by("192.0.2.7", (b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-proto", b"https"))

    assert client_network(request, trusted) == "192.0.2.7"
    assert external_scheme(request, trusted) == "http"


@pytest.mark.parametrize(
    ("headers", "network"),
    [
        (forwarded_for(b"203.0.113.9"), "203.0.113.9"),
        (forwarded_for(b"6.6.6.6, 203.0.113.9, 10.1.1.1"), "203.0.113.9"),
        (forwarded_for(b"6.6.6.6", b"203.0.113.9", b"10.1.1.1"), "203.0.113.9"),
        (forwarded_for(b"203.0.113.9:8080"), "203.0.113.9"),
        (forwarded_for(b"[2001:db8::1]:80"), "2001:db8::/64"),
        (forwarded_for(b"2001:db8::1"), "2001:db8::/64"),
        (forwarded_for(b"::ffff:203.0.113.9"), "203.0.113.9"),
        (forwarded_for(b"203.0.113.9, unknown"), "10.0.0.1"),
        (forwarded_for(b"203.0.113.9, unknown, 10.1.1.1"), "10.1.1.1"),
        (forwarded_for(b"10.2.2.2, 10.1.1.1"), "10.2.2.2"),
        (forwarded_for(b""), "10.0.0.1"),
        (forwarded_for(b",,,"), "10.0.0.1"),
        (forwarded_for(b"\xff\xfe"), "10.0.0.1"),
        (forwarded_for(b"203.0.113.9" + b", 10.1.1.1" * 900), "203.0.113.9"),
        (forwarded_for(b", ".join([b"6.6.6.6"] * 5000 + [b"203.0.113.9"])), "203.0.113.9"),
        ([(b"forwarded", b'for=6.6.6.6, for="[2001:db8::1]:80";proto=https;by=10.0.0.1')], "2001:db8::/64"),
        ([(b"forwarded", b"by=10.0.0.1;For=203.0.113.9")], "203.0.113.9"),
        ([(b"forwarded", b'for="6.6.6.6, for="[2001:db8::1]:80"')], "2001:db8::/64"),
        ([(b"forwarded", b'for="x'), (b"forwarded", b'for="203.0.113.9:80";by="10.0.0.1"')], "203.0.113.9"),
        ([(b"forwarded", b"for=203.0.113.9;xfor=6.6.6.6")], "203.0.113.9"),
        ([(b"forwarded", b"for=_hidden")], "10.0.0.1"),
        ([(b"forwarded", b"for=unknown, for=10.1.1.1")], "10.1.1.1"),
    ],
)
def test_behind_a_trusted_proxy_the_first_untrusted_hop_from_the_right_counts(headers: Headers, network: str) -> None:
    assert client_network(asked_by("10.0.0.1", *headers), PROXIES) == network


def test_a_trusted_proxy_may_be_seen_as_mapped_ipv6() -> None:
    request = asked_by("::ffff:10.0.0.1", (b"x-forwarded-for", b"203.0.113.9"))

    assert client_network(request, PROXIES) == "203.0.113.9"


@pytest.mark.parametrize(
    ("headers", "scheme"),
    [
        ([], "http"),
        ([(b"x-forwarded-proto", b"https")], "https"),
        ([(b"x-forwarded-proto", b"http, HTTPS")], "https"),
        ([(b"x-forwarded-proto", b"javascript")], "http"),
        ([(b"forwarded", b"for=1.2.3.4;proto=https")], "https"),
    ],
)
def test_the_scheme_is_what_the_nearest_trusted_proxy_says(headers: Headers, scheme: str) -> None:
    assert external_scheme(asked_by("10.0.0.1", *headers), PROXIES) == scheme


@given(st.sampled_from([b"x-forwarded-for", b"forwarded", b"x-forwarded-proto"]), st.lists(st.binary(max_size=60)))
def test_no_header_makes_it_fail(name: bytes, lines: list[bytes]) -> None:
    request = asked_by("10.0.0.1", *[(name, line) for line in lines])

    assert client_network(request, PROXIES)
    assert external_scheme(request, PROXIES) in ("http", "https")
