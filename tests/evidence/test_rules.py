from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryout.evidence import rules
from carryout.evidence.model import Chain, EventRow, Witness

ROW: Final = EventRow(
    id=5,
    uid="u",
    store_id=1,
    order_id=7,
    order_uid="o",
    grant_uid="g",
    asset_uid=None,
    type="download.allowed",
    created_at=1,
    detail="{}",
    address_digest=b"a",
    user_agent=b"m",
    salt=b"s",
    person_digest=rules.person_digest(b"s", Witness(b"a", b"m")),
    chained_at=2,
    key_id=b"k",
    mac=b"m",
)
# Codes are compared, not covered; what is personal is covered by its digest.
APART: Final = {"address_digest", "user_agent", "salt", "key_id", "mac"}
VALUES: Final = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.text(), st.binary())


@given(name=st.sampled_from(sorted(set(EventRow.__struct_fields__) - APART)), value=VALUES)
def test_whatever_is_changed_in_an_event_changes_its_message(name: str, value: Any) -> None:
    changed = msgspec.structs.replace(ROW, **{name: value})
    is_same = type(value) is type(getattr(ROW, name)) and value == getattr(ROW, name)
    assert (rules.message(b"p", changed) == rules.message(b"p", ROW)) == is_same


@given(name=st.sampled_from(("address_digest", "user_agent", "salt", "person_digest")), value=VALUES)
def test_whatever_is_changed_of_a_person_is_found(name: str, value: Any) -> None:
    changed = msgspec.structs.replace(ROW, **{name: value})
    assert rules.is_person_intact(changed) == (value == getattr(ROW, name))


@given(before=st.binary())
def test_an_event_is_bound_to_the_one_before_it(before: bytes) -> None:
    assert (rules.message(before, ROW) == rules.message(b"p", ROW)) == (before == b"p")


@given(name=st.sampled_from(Chain.__struct_fields__), value=VALUES)
def test_whatever_is_changed_in_a_chain_changes_its_message(name: str, value: Any) -> None:
    chain = Chain(1, 2, b"a", 3, b"h", 4)
    is_same = type(value) is type(getattr(chain, name)) and value == getattr(chain, name)
    changed = msgspec.structs.replace(chain, **{name: value})
    assert (rules.chain_message(changed) == rules.chain_message(chain)) == is_same


def test_a_redacted_person_is_gone_with_the_salt() -> None:
    redacted = msgspec.structs.replace(ROW, address_digest=None, user_agent=None, salt=None)
    assert rules.is_person_intact(redacted)
    assert rules.message(b"p", redacted) == rules.message(b"p", ROW)


def test_a_person_is_not_put_where_there_was_none() -> None:
    empty = msgspec.structs.replace(ROW, address_digest=None, user_agent=None, salt=None, person_digest=None)
    assert rules.is_person_intact(empty)
    assert not rules.is_person_intact(msgspec.structs.replace(empty, address_digest=b"a"))
    assert not rules.is_person_intact(msgspec.structs.replace(empty, address_digest=b"a", salt=b"s"))


def test_a_chain_starts_before_the_first_event() -> None:
    assert rules.start(3) == Chain(3, 0, rules.GENESIS, 0, rules.GENESIS, 0)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("curl/8.14.1", "curl/8.14.1"),
        (
            "Mozilla/5.0 (Linux; U; Android 4.0; en-us; LG) Safari/5",
            "Mozilla/5.0 (Linux; U; Android 4.0; ; LG) Safari/5",
        ),
        ("App/1 (iPhone; iOS 18; de_DE; FBLC/de_DE)", "App/1 (iPhone; iOS 18; ; FBLC/)"),
        ("Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101"),
        ("a\r\nb\0c\u202ed", "a b c d"),
        ("x" * 1000, "x" * 256),
        ("", ""),
    ],
)
def test_a_user_agent_is_kept_without_the_country_it_names(sent: str, kept: str) -> None:
    assert rules.user_agent(sent) == kept
