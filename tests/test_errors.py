import pytest

from carryout.errors import CarryoutError, DatabaseBusy, DatabaseFull, DatabaseUnavailable, Kind


class OrderUnknown(CarryoutError):
    """There is no order {order}."""

    kind = Kind.NOT_FOUND


def test_the_docstring_is_the_message_with_the_facts_in_it() -> None:
    error = OrderUnknown(order="#1{x}")

    assert error.message == str(error) == "There is no order #1{x}."
    assert error.facts == {"order": "#1{x}"}


def test_a_fact_that_is_missing_is_found_when_the_error_is_made() -> None:
    with pytest.raises(KeyError, match="order"):
        OrderUnknown()


def test_the_code_is_the_name_in_snake_case() -> None:
    assert OrderUnknown(order=1).code == "order_unknown"


@pytest.mark.parametrize("error", [DatabaseBusy, DatabaseFull, DatabaseUnavailable])
def test_what_the_database_cannot_do_now_says_when_to_come_again(error: type[CarryoutError]) -> None:
    assert error.kind is Kind.BUSY
    assert error.retry_after_seconds is not None
    assert error().message.endswith(("again in a moment.", "again later."))
