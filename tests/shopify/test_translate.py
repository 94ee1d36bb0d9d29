"""The whole of `translate`: any JSON under any topic gives facts that both databases can hold."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carryout.shopify.model import Unused
from carryout.shopify.translate import NotJson, translate
from carryout.web.metrics import TOPICS
from tests.cast import NOW
from tests.shopify.payloads import DOCUMENTED, order, refund, topic_of

NAMES: Final = sorted({*order(), *order()["line_items"][0], *refund(), "order_edit", "order", "variants", "tags"})
SCALARS: Final = (
    st.none()
    | st.booleans()
    | st.integers(-(10**24), 10**24)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["\ud800", "\0", "paid", "gid://shopify/Order/1", "2026-11-24T16:12:50Z", "1", "-1"])
)
VALUES: Final = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=8),
    max_leaves=30,
)


def leaves(value: Any) -> Iterator[Any]:
    """Every number and text in some facts."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value


def is_storable(value: object) -> bool:
    if isinstance(value, str):
        value.encode()
        return True
    return not isinstance(value, int) or -(2**63) <= value < 2**63


def as_json(value: object) -> bytes:
    """What JSON can say of a value, which may hold what it cannot."""
    return re.sub("-?Infinity", "1e999", json.dumps(value)).replace("NaN", "0.5").encode()


@settings(max_examples=300, deadline=None)
@given(topic=st.sampled_from(sorted(TOPICS)), body=VALUES)
def test_any_json_is_translated_to_what_can_be_stored(topic: str, body: object) -> None:
    said = translate(topic, as_json(body), NOW, NOW)
    assert said.facts is not None or said.surprises
    assert all(map(is_storable, leaves(msgspec.to_builtins(said))))


@settings(max_examples=300, deadline=None)
@given(field=st.sampled_from(sorted(order())), value=VALUES)
def test_an_order_with_any_odd_field_is_translated(field: str, value: object) -> None:
    said = translate("orders/paid", as_json(order(**{field: value})), NOW, NOW)
    assert said.facts is not None or field == "id"
    assert all(map(is_storable, leaves(msgspec.to_builtins(said))))


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_not(raw: bytes) -> None:
    with suppress(NotJson):
        translate("orders/paid", raw, NOW, NOW)


@pytest.mark.parametrize("path", DOCUMENTED, ids=lambda path: path.stem)
def test_every_documented_payload_can_be_applied(path: Path) -> None:
    assert translate(topic_of(path), path.read_bytes(), NOW, NOW).facts is not None


def test_every_topic_of_ours_is_used() -> None:
    assert [topic for topic in TOPICS if isinstance(translate(topic, b"{}", NOW, NOW).facts, Unused)] == []
    assert translate("carts/update", b"{}", NOW, NOW).facts == Unused()


def test_what_is_nested_too_deeply_is_kept() -> None:
    said = translate("orders/paid", b"[" * 100_000 + b"]" * 100_000, NOW, NOW)
    assert said.facts is None
    assert said.surprises == ("the body is nested too deeply",)
