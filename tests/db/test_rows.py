import enum
from decimal import Decimal

import msgspec
import pytest

from carryout.db.rows import ColumnsDiffer, mapper


class Colour(enum.Enum):
    """A word."""

    RED = "red"


class Level(enum.IntEnum):
    """A number."""

    LOW = 0
    HIGH = 1


class Car(msgspec.Struct, frozen=True):
    """A row."""

    name: str
    is_new: bool
    colour: Colour
    level: Level | None
    tags: tuple[str, ...]
    plate: bytes | None


COLUMNS = ("name", "is_new", "colour", "level", "tags", "plate")


def test_a_row_becomes_a_struct_as_its_annotations_say() -> None:
    car = mapper(Car, COLUMNS)(("Bee", 1, "red", 1, '["fast"]', None))

    assert car == Car("Bee", True, Colour.RED, Level.HIGH, ("fast",), None)  # noqa: FBT003  # a field of the struct
    assert car.is_new is True


def test_null_stays_none() -> None:
    assert mapper(Car, COLUMNS)(("Bee", 0, "red", None, "[]", b"1")).level is None


@pytest.mark.parametrize("columns", [COLUMNS[:-1], (*COLUMNS, "more"), COLUMNS[::-1]])
def test_columns_that_are_not_the_fields_are_refused(columns: tuple[str, ...]) -> None:
    with pytest.raises(ColumnsDiffer, match="Car has"):
        mapper(Car, columns)


def test_a_plain_type_is_the_only_column() -> None:
    assert mapper(int, ("count",))((7,)) == 7
    assert mapper(bool, ("is_there",))((1,)) is True
    assert mapper(Colour, ("colour",))(("red",)) is Colour.RED
    assert mapper(bool, ("is_there",))((None,)) is None
    assert mapper(Decimal, ("sum",))((Decimal(1),)) == 1


def test_a_word_that_no_enum_has_is_an_error() -> None:
    with pytest.raises(KeyError):
        mapper(Colour, ("colour",))(("blue",))
