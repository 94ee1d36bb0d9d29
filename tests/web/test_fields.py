import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryout.web.fields import Fields, read_fields, whole_number
from carryout.web.laravel import Invalid


def faults(fields: Fields) -> dict[str, list[str]]:
    """What was wrong."""
    try:
        fields.check()
    except Invalid as error:
        return error.errors
    return {}


def test_a_text_is_trimmed_and_an_empty_one_is_none() -> None:
    fields = Fields({"a": " text ", "b": "  ", "c": None})
    assert [fields.text(name) for name in "abcd"] == ["text", None, None, None]
    assert [fields.has(name) for name in "abcd"] == [True, True, True, False]
    assert faults(fields) == {}


def test_what_is_required_must_be_there() -> None:
    fields = Fields({"b": "", "c": [], "d": {}})
    for name in "abcd":
        fields.value(name, required=True)
    fields.integers("product_ids", required=True)
    assert faults(fields) == {name: [f"The {name} field is required."] for name in "abcd"} | {
        "product_ids": ["The product ids field is required."]
    }


@pytest.mark.parametrize(
    ("value", "number"),
    [(1, 1), (0, 0), ("7", 7), (" 7 ", 7), (1.0, 1), (2**63 - 1, 2**63 - 1), (-1, None), (2**63, None), (10**30, None),
     (1.5, None), (True, None), ("x", None), ([1], None), ({}, None), ("1e3", None), ("\u0663", None)],
)  # fmt: skip
def test_a_whole_number_is_read_from_what_writes_one(value: object, number: int | None) -> None:
    fields = Fields({"size": value})
    assert fields.integer("size") == number
    assert bool(faults(fields)) is (number is None)


def test_limits_of_numbers_and_texts_are_told() -> None:
    fields = Fields({"a": -1, "b": 11, "c": "x" * 4, "d": "a\0", "e": 5})
    fields.integer("a")
    fields.integer("b", most=10)
    fields.text("c", most=3)
    fields.text("d")
    fields.text("e")
    assert faults(fields) == {
        "a": ["The a field must be at least 0."],
        "b": ["The b field must not be greater than 10."],
        "c": ["The c field must not be greater than 3 characters."],
        "d": ["The d field must be a string."],
        "e": ["The e field must be a string."],
    }


@pytest.mark.parametrize(
    ("value", "found"),
    [(True, True), (1, True), ("1", True), ("true", True), (False, False), (0, False), ("0", False), ("false", False)],
)
def test_a_switch_is_read_from_what_laravel_takes(value: object, found: object) -> None:
    fields = Fields({"blocked": value})
    assert fields.boolean("blocked") is found
    assert faults(fields) == {}


@pytest.mark.parametrize("value", [2, "yes", [True], 1.0, {}])
def test_what_is_no_switch_is_told(value: object) -> None:
    fields = Fields({"send_email": value})
    assert fields.boolean("send_email") is None
    assert faults(fields) == {"send_email": ["The send email field must be true or false."]}


def test_times_ids_and_words_are_checked() -> None:
    uid = "82664D96-6DFD-4343-96B0-05C46F412A5A"
    fields = Fields(
        {"at": "2026-11-24T16:12:50Z", "id": uid, "type": "link", "x": "tomorrow", "y": 7, "z": "2026-11-24"}
    )
    assert fields.moment("at") == 1_795_536_770_000_000
    assert fields.uid("id") == uid.lower()
    assert fields.choice("type", ["link", "file"]) == "link"
    fields.moment("x")
    fields.uid("y")
    fields.moment("z")
    fields.choice("at", ["link"])
    assert faults(fields) == {
        "x": ["The x field must be a valid date."],
        "y": ["The y field must be a valid UUID."],
        "z": ["The z field must be a valid date."],
        "at": ["The selected at is invalid."],
    }


def test_faults_within_lists_and_objects_are_called_by_their_place() -> None:
    fields = Fields(
        {
            "product_ids": [1, "2", "x"],
            "products": ["a", None],
            "lines": [{"sku": "a"}, {}, 7],
            "limits": {"downloads": -1},
            "assets": "a",
            "many": [0] * 1001,
        }
    )
    assert fields.integers("product_ids") == [1, 2]
    assert fields.texts("products") == ["a"]
    for place, line in fields.each("lines"):
        line.inner(place).text("sku", required=True)
    fields.inner("limits").integer("downloads")
    fields.texts("assets")
    fields.integers("many")
    assert fields.inner("nothing").text("name") is None
    assert faults(fields) == {
        "product_ids.2": ["The product ids.2 field must be an integer."],
        "products.1": ["The products.1 field is required."],
        "lines.1.sku": ["The lines.1.sku field is required."],
        "lines.2": ["The lines.2 field must be an array."],
        "lines.2.sku": ["The lines.2.sku field is required."],
        "limits.downloads": ["The limits.downloads field must be at least 0."],
        "assets": ["The assets field must be an array."],
        "many": ["The many field must not have more than 1000 items."],
    }


def test_no_body_is_no_fields() -> None:
    for body in (b"", b"  \r\n", b"\xef\xbb\xbf", b"{}"):
        assert faults(read_fields(body)) == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(JSON)
def test_any_value_is_read_or_refused_by_every_reader(value: Any) -> None:
    fields = Fields({"a": value})
    for read in (
        fields.text, fields.integer, fields.boolean, fields.moment, fields.uid, fields.integers, fields.texts,
    ):  # fmt: skip
        read("a", required=True)
    fields.choice("a", ["x"], required=True)
    fields.inner("a", required=True).text("b", required=True)
    assert faults(fields)


@given(st.binary(max_size=30) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_fields_or_a_fault_of_the_body(body: bytes) -> None:
    try:
        found = list(faults(read_fields(body)))
    except Invalid as error:
        found = list(error.errors)
    assert found in ([], ["body"])


def test_true_is_no_number() -> None:
    assert [whole_number(value) for value in (True, None, float("inf"), "9" * 20)] == [None] * 4
