import pytest

from carryout.errors import Kind
from carryout.web.guessing import GuessLimit, TooManyGuesses


def test_the_limit_of_misses_is_free_and_one_more_must_wait() -> None:
    guesses = GuessLimit(3)

    assert [guesses.record_miss("192.0.2.1") for _ in range(3)] == [None, None, None]
    assert guesses.record_miss("192.0.2.1") in range(1, 61)


def test_every_address_has_its_own_count() -> None:
    guesses = GuessLimit(1)
    guesses.record_miss("192.0.2.1")

    assert guesses.record_miss("192.0.2.2") is None
    assert guesses.record_miss("192.0.2.1") is not None


def test_zero_switches_it_off() -> None:
    guesses = GuessLimit(0)

    assert {guesses.record_miss("192.0.2.1") for _ in range(100)} == {None}


def test_a_miss_too_many_is_an_error_that_says_how_long_to_wait() -> None:
    guesses = GuessLimit(1)
    guesses.refuse_miss("192.0.2.1")

    with pytest.raises(TooManyGuesses) as refused:
        guesses.refuse_miss("192.0.2.1")

    assert refused.value.kind is Kind.TOO_MANY
    assert refused.value.retry_after_seconds in range(1, 61)
