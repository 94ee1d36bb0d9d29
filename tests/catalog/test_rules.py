import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryout.catalog.model import LimitFault, StatedSize
from carryout.catalog.rules import (
    display_size,
    is_link,
    limit,
    number_in,
    shown_filename,
    shown_link_name,
    shown_text,
    stated_size,
)


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1KB"),
        (1500, "1.5KB"),
        (999_949, "999.9KB"),
        (999_950, "1MB"),
        (10_000_000, "10MB"),
        (12_345_678_901, "12.3GB"),
        (2**63 - 1, "9.2EB"),
    ],
)
def test_a_size_is_shown_in_decimal_units(size_bytes: int, shown: str) -> None:
    assert display_size(size_bytes) == shown


@given(st.integers(0, 2**63 - 1))
def test_a_size_is_short_and_close(size_bytes: int) -> None:
    parts = re.fullmatch(r"(\d{1,3}(?:\.[1-9])?)(B|KB|MB|GB|TB|PB|EB)", display_size(size_bytes))
    assert parts is not None
    scale = 1000 ** ["B", "KB", "MB", "GB", "TB", "PB", "EB"].index(parts[2])
    assert abs(float(parts[1]) * scale - size_bytes) <= scale * 0.051


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("book.epub", "book.epub"),
        (" Bücher & 本.pdf ", "Bücher & 本.pdf"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("a\\b", "a_b"),
        ("a\x00b\nc\x7f", "abc"),
        ("\u202egpj.exe", "gpj.exe"),
        ("half \udce4", "half \ufffd"),
        ("x" * 255, "x" * 255),
        ("x" * 256, None),
        ("", None),
        ("\x00 ", None),
        ("..", None),
    ],
)
def test_a_file_name_is_cleaned_or_refused(name: str, shown: str | None) -> None:
    assert shown_filename(name) == shown


@given(st.text(st.characters(), max_size=300))
def test_a_shown_name_can_be_stored_and_stays_as_it_is(name: str) -> None:
    shown = shown_filename(name)
    if shown is not None:
        assert shown.encode()
        assert shown == shown_filename(shown)
        assert shown == shown_text(shown)


def test_a_link_may_have_a_slash_in_its_name() -> None:
    assert shown_link_name("Season 1/2") == "Season 1/2"


@pytest.mark.parametrize(
    "url", ["https://example.com", "http://example.com:8080/a?b=c#d", "https://example.com/%E6%9C%AC", "https://[::1]/"]
)
def test_a_web_address_is_a_link(url: str) -> None:
    assert is_link(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "javascript:alert(1)",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://mira:secret@example.com/",
        "https://example.com\\@evil.example/",
        "https://example.com/a b",
        "https://example.com/\r\nSet-Cookie: a=b",
        "https://example.com/本",
        "https://example.com:port/",
        "https://[",
        "https://example.com/" + "x" * 2048,
    ],
)
def test_anything_else_is_no_link(url: str) -> None:
    assert not is_link(url)


@given(st.text())
def test_any_text_is_a_link_or_not(url: str) -> None:
    assert is_link(url) in (True, False)


@pytest.mark.parametrize(
    ("key", "value", "expected"), [("downloads", "0", 0), ("downloads", "None", None), ("expires_days", "36500", 36500)]
)
def test_a_limit_is_read(key: str, value: str, expected: int | None) -> None:
    assert limit(key, value) == expected


@pytest.mark.parametrize(("key", "value"), [("downloads", "-1"), ("downloads", "many"), ("expires_days", "36501")])
def test_a_wrong_limit_says_what_it_must_be(key: str, value: str) -> None:
    fault = limit(key, value)
    assert isinstance(fault, LimitFault)
    assert "whole number" in fault.must


@given(st.integers(0, 2**64))
def test_an_id_has_63_bits(number: int) -> None:
    assert number_in(str(number)) == (number if number < 2**63 else None)


@pytest.mark.parametrize(
    ("value", "text", "size_bytes"),
    [
        (10, None, 10),
        ("10", None, 10),
        ("10MB", "10MB", 10_000_000),
        ("10 mb", "10 mb", 10_000_000),
        ("1.5GB", "1.5GB", 1_500_000_000),
        ("9EB", "9EB", 9 * 10**18),
        ("unknown", "unknown", None),
        ("10MiB", "10MiB", None),
        ("about 3\u202e MB", "about 3 MB", None),
    ],
)
def test_a_stated_size_is_kept_as_words_and_bytes(value: str | int, text: str | None, size_bytes: int | None) -> None:
    assert stated_size(value) == StatedSize(text, size_bytes)


@pytest.mark.parametrize("value", [-1, 2**63, "-1", "1.5", "+1", "", "\u202e", "x" * 256, "10EB", "9" * 30])
def test_what_can_be_no_size_is_none(value: str | int) -> None:
    assert stated_size(value) is None


@given(st.integers(0, 2**63 - 1))
def test_a_size_that_is_shown_can_be_stated(size_bytes: int) -> None:
    found = stated_size(display_size(size_bytes))
    assert found is not None
    assert found.size_bytes is not None
    assert abs(found.size_bytes - size_bytes) * 10 <= max(size_bytes, 10)
