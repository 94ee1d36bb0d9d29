import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from carryout.filenames import FORBIDDEN, UNSEEN, safe_name


@given(st.text(max_size=300))
@example("x" * 300 + ".pdf")
@example("📚" * 200 + ".tar.gz")
@example("a." + "b" * 300)
@example("e\u202e\u0301.pdf")  # two characters that become one when what stood between them is gone
@example("a" * 239 + " .pdf")
@example("CON" + " " * 300 + ".txt")
@example(" \u00a0.\u3000")
def test_any_name_can_be_saved_anywhere(filename: str) -> None:
    name = safe_name(filename)
    assert name
    assert name == name.strip(" .\u00a0\u3000")
    assert len(name.encode()) <= 240
    assert not UNSEEN.search(name)
    assert not FORBIDDEN.search(name)
    assert unicodedata.is_normalized("NFC", name)
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("filename", "saved"),
    [
        ("book.epub", "book.epub"),
        ("日本語.epub", "日本語.epub"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("\u202egpj.exe", "gpj.exe"),
        ("a\u061cb\u2028c\u2029d.txt", "abcd.txt"),
        ("u\u0308.pdf", "ü.pdf"),
        ("book.pdf. . ", "book.pdf"),
        ("book.pdf\u00a0", "book.pdf"),
        ("..", "download"),
        ("", "download"),
    ],
)
def test_a_name_stays_itself_as_far_as_it_can(filename: str, saved: str) -> None:
    assert safe_name(filename) == saved


@pytest.mark.parametrize(
    "device",
    [
        "CON",
        "con.txt",
        "CON .txt",
        "Nul",
        "AUX.tar.gz",
        "COM1.txt",
        "COM\u00b9",
        "lpt\u00b3.log",
        "CONIN$",
        "CONOUT$.x",
    ],
)
def test_a_device_of_windows_is_no_name(device: str) -> None:
    assert safe_name(device) == "_" + device


@pytest.mark.parametrize("name", ["CONTENTS.txt", "COM10.txt", "com.txt", "auxiliary", "icon", "CON$", "NUL-1"])
def test_a_name_that_only_begins_like_a_device_is_one(name: str) -> None:
    assert safe_name(name) == name


def test_a_long_name_keeps_its_suffix() -> None:
    assert safe_name("é" * 200 + ".epub").endswith("é.epub")
