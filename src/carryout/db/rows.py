"""Rows become frozen structs, by position: the columns of a statement are the fields of its struct, in order.

The databases differ in what they answer (SQLite says 1 for true, PostgreSQL hands out Decimals for sums), so a struct's
annotations decide: bools, enums and JSON texts (fields of list, tuple, dict or struct type) are converted, the rest is
taken as it comes.
"""

import enum
import types
import typing
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec

Row = Sequence[Any]
T = TypeVar("T")

_KEPT_STRUCTS: Final = 256


class ColumnsDiffer(TypeError):
    """A statement's columns are not its struct's fields."""


def mapper(row_type: type[T], columns: tuple[str, ...]) -> Callable[[Row], T]:
    """A function from a row to `row_type`: a struct with these very fields, or a plain type for the only column."""
    if not (isinstance(row_type, type) and issubclass(row_type, msgspec.Struct)):
        return _scalar(row_type)
    fields = row_type.__struct_fields__
    if fields != columns:
        message = f"{row_type.__name__} has {fields}, the statement {columns}"
        raise ColumnsDiffer(message)
    hints = typing.get_type_hints(row_type)
    converted = [(index, convert) for index, name in enumerate(fields) if (convert := _converter(hints[name]))]
    make = typing.cast("Callable[..., T]", row_type)
    if not converted:
        return lambda row: make(*row)
    return lambda row: make(*_convert(row, converted))


def _scalar(row_type: type[T]) -> Callable[[Row], T]:
    convert = _converter(row_type)
    if convert is None:
        return lambda row: row[0]
    return lambda row: None if row[0] is None else convert(row[0])  # type: ignore[return-value]  # NULL is for the caller to expect


def _convert(row: Row, converted: list[tuple[int, Callable[[Any], Any]]]) -> list[Any]:
    values = list(row)
    for index, convert in converted:
        value = values[index]
        if value is not None:
            values[index] = convert(value)
    return values


def _converter(hint: Any) -> Callable[[Any], Any] | None:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = [arg for arg in typing.get_args(hint) if arg is not type(None)]
        return _converter(inner[0]) if len(inner) == 1 else None
    if hint is bool:
        return bool
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {member.value: member for member in hint}.__getitem__
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        # Frozen, and few: a store's settings come with each of its orders.
        return lru_cache(_KEPT_STRUCTS)(msgspec.json.Decoder(hint).decode)
    if typing.get_origin(hint) in (list, tuple, dict):
        # Not strict: in the JSON that SQLite makes, true is 1.
        return msgspec.json.Decoder(hint, strict=False).decode
    return None
