import re
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from carryout.downloads.disposition import content_disposition, file_headers, media_type, safe_name

# One plain name in quotes, and the true one (RFC 6266, RFC 8187); nothing in either that could end it early.
_FORM = re.compile(
    r"attachment; filename=\"([\x20-\x21\x23-\x5b\x5d-\x7e]+)\"; filename\*=UTF-8''([A-Za-z0-9!#$&+.^_`|~%-]+)"
)


@given(st.text(max_size=300))
@example('a"; filename="evil.exe')
@example("a\uff02; filename=\uff02evil.exe")  # full-width quotes, which compatibility makes plain ones
@example("\uff0e\uff0e\uff0fetc\uff0fpasswd")
@example("a\r\nset-cookie: x=1")
@example("\ud800")
@example("é" * 300)
def test_any_name_makes_one_header_with_both_forms(filename: str) -> None:
    said = content_disposition(filename)
    parts = _FORM.fullmatch(said)
    assert parts is not None
    assert unquote(parts[2]) == safe_name(filename)
    assert not set(parts[1]) & set('/\\:*?"<>|%')
    assert all(value.isascii() for value in file_headers(filename).values())


@pytest.mark.parametrize(
    ("filename", "saved", "plain"),
    [
        ("book.epub", "book.epub", "book.epub"),
        ("Bücher.pdf", "Bücher.pdf", "Bucher.pdf"),
        ("日本語.epub", "日本語.epub", "download.epub"),
        ("../../etc/passwd", "_.._etc_passwd", "_.._etc_passwd"),
        ("📚 Bücher.epub", "📚 Bücher.epub", "Bucher.epub"),
        ("\u202egpj.exe", "gpj.exe", "gpj.exe"),
        ("CON.txt", "_CON.txt", "_CON.txt"),
        ("..", "download", "download"),
        ("", "download", "download"),
    ],
)
def test_a_name_stays_itself_as_far_as_it_can(filename: str, saved: str, plain: str) -> None:
    assert safe_name(filename) == saved
    assert f'filename="{plain}"' in content_disposition(filename)


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("a.pdf", "application/pdf"),
        ("a.tar.gz", "application/octet-stream"),
        ("a", "application/octet-stream"),
        ("http://[", "application/octet-stream"),
    ],
)
def test_the_type_is_what_the_name_suggests(filename: str, expected: str) -> None:
    assert media_type(filename) == expected
