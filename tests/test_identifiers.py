import pytest

from carryout.identifiers import is_uid, new_uid


def test_new_ids_differ_and_sort_by_time() -> None:
    made = [new_uid() for _ in range(1000)]

    assert len(set(made)) == 1000
    assert made == sorted(made)
    assert all(is_uid(uid) and uid[14] == "7" for uid in made)


@pytest.mark.parametrize(
    "text", ["", "x" * 36, "82664d96-6dfd-4343-96b0-05c46f412a5", "82664d966dfd434396b005c46f412a5a"]
)
def test_what_has_not_the_form_is_none(text: str) -> None:
    assert not is_uid(text)


@pytest.mark.parametrize("tail", ["\n", " ", "\0", "a"])
def test_nothing_may_follow_or_lead(tail: str) -> None:
    uid = new_uid()

    assert is_uid(uid.upper())
    assert not is_uid(uid + tail)
    assert not is_uid(tail + uid)
