import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryout.shopify.translate.reading import (
    MAX_ID,
    MAX_NOTES,
    MAX_QUANTITY,
    NotJson,
    Reader,
    TooDeep,
    as_id,
    clean,
    parse,
    parse_time,
)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b"\xff\xfe{}",
        b'{"a": "\xff"}',
        b'"\xed\xa0\x80"',
        b"NaN",
        b"[Infinity]",
        b"{}x",
        b"id=1",
    ],
)
def test_what_is_not_json_is_told_apart(raw: bytes) -> None:
    with pytest.raises(NotJson):
        parse(raw)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"id": 1, "id": 2}', {"id": 2}),
        (b'{"a": "\\ud800"}', {"a": "\ud800"}),
        (b'{"a": "\\u0000"}', {"a": "\0"}),
        (b"\xef\xbb\xbf{}", {}),
        (b"[9223372036854775808]", [2**63]),
        (b"12345678901234567890123", 12345678901234567890123),
        (b"null", None),
    ],
)
def test_odd_json_is_still_json(raw: bytes, value: object) -> None:
    assert parse(raw) == value


def test_a_number_of_thousands_of_digits_is_no_error() -> None:
    assert parse(b"[" + b"9" * 5000 + b", 1e999]") == [float("inf"), float("inf")]


def test_deep_nesting_is_told_apart() -> None:
    with pytest.raises(TooDeep):
        parse(b"[" * 100_000 + b"]" * 100_000)


def test_a_text_is_cleaned_for_both_databases() -> None:
    assert clean("caf\u00e9 \u2615\0\ud800!") == "caf\u00e9 \u2615\ufffd!"
    assert clean("x" * 2000, 10) == "x" * 10


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (820982911946154508, 820982911946154508),
        (MAX_ID, MAX_ID),
        ("123", 123),
        ("gid://shopify/Order/123", 123),
        ("gid://shopify/Order/123?x=1", 123),
        (2**63, None),
        (0, None),
        (-1, None),
        (1.0, None),
        (True, None),
        ("9223372036854775808", None),
        ("12a", None),
        ("\u0661", None),
        (None, None),
        ([1], None),
    ],
)
def test_an_id_is_a_positive_number_of_64_bits(value: object, expected: int | None) -> None:
    assert as_id(value) == expected


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000),
        ("2021-12-31T19:00:00-05:00", 1_640_995_200_000_000),
        ("2022-01-01T00:00:00.000Z", 1_640_995_200_000_000),
        ("2022-01-01T00:00:00.123456789Z", 1_640_995_200_123_456),
        ("2022-01-01T00:00:00", None),
        ("0001-01-01T00:00:00+10:00", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_time_has_an_offset(text: str, at: int | None) -> None:
    assert parse_time(text) == at


@pytest.mark.parametrize(
    ("value", "expected", "is_noted"),
    [
        (2, 2, False),
        (0, 0, False),
        ("2", 2, True),
        (2.0, 2, True),
        (-1, 0, True),
        (10**9, MAX_QUANTITY, True),
        (1e300, MAX_QUANTITY, True),
        (float("inf"), None, True),
        ("NaN", None, True),
        (True, None, True),
        ([], None, True),
        (None, None, False),
    ],
)
def test_a_quantity_is_clamped_and_noted(value: object, expected: int | None, is_noted: bool) -> None:  # noqa: FBT001 - a column of the table
    notes: list[str] = []
    assert Reader({"quantity": value}, notes).quantity("quantity") == expected
    assert bool(notes) is is_noted


def test_an_id_is_taken_from_the_gid_beside_it() -> None:
    notes: list[str] = []
    assert Reader({"admin_graphql_api_id": "gid://shopify/Order/7"}, notes).id() == 7
    assert notes == ["id is missing"]


def test_a_note_names_the_place_and_never_the_value() -> None:
    notes: list[str] = []
    for item in Reader({"customers": [{"id": "secret@example.com"}, 5]}, notes).items("customers"):
        item.id()
    assert notes == ["customers[0].id is no 64-bit id", "customers[1] is not an object"]


def test_notes_have_an_end() -> None:
    notes: list[str] = []
    list(Reader({"items": [1] * 1000}, notes).items("items"))
    assert len(notes) == MAX_NOTES


@given(st.text(alphabet=st.characters(), max_size=50))
def test_a_clean_text_can_be_stored(text: str) -> None:
    cleaned = clean(text)
    assert "\0" not in cleaned
    cleaned.encode()
