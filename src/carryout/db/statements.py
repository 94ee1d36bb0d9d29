"""Statements: written with SQLAlchemy Core once, at import, and compiled once a dialect.

SQLAlchemy writes the SQL; the drivers run it (docs/decisions). A statement knows the order of its parameters in each
dialect, the literals that SQLAlchemy bound for itself, and the struct that a row becomes.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Final, Generic, TypeVar

import msgspec
from sqlalchemy import ARRAY, BigInteger, ColumnElement, ScalarSelect, Select, Text, bindparam
from sqlalchemy.dialects.postgresql import asyncpg as asyncpg_dialect
from sqlalchemy.dialects.sqlite import pysqlite as sqlite_dialect
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import BindParameter  # noqa: TC002 - annotations of attributes are looked up
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from carryout.db.rows import Row, mapper

SQLITE: Final[Dialect] = sqlite_dialect.dialect(paramstyle="qmark")
POSTGRESQL: Final[Dialect] = asyncpg_dialect.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy has no type here

T = TypeVar("T")


class among(ColumnElement[bool]):  # noqa: N801 - reads as SQL in the stores, like `and_` and `select`
    """`column IN (the list given as parameter `name`)`: one text a dialect, whatever the length of the list.

    The column holds 64-bit integers or texts; of other types it is a `TypeError`.
    """

    inherit_cache = False

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        self.column = column
        self.param: BindParameter[Any] = bindparam(name, type_=ARRAY(_item_type(column)))


def _item_type(column: ColumnElement[Any]) -> TypeEngine[Any]:
    python_type = column.type.python_type
    if python_type is str:
        return column.type
    if python_type is int:
        return BigInteger()
    message = f"{column} holds {python_type.__name__}: a list may hold integers or texts"  # JSON has no bytes
    raise TypeError(message)


@compiles(among, "sqlite")
def _among_sqlite(element: among, compiler: SQLCompiler, **kw: Any) -> str:
    column, param = compiler.process(element.column, **kw), compiler.process(element.param, **kw)
    return f"{column} IN (SELECT value FROM json_each({param}))"  # noqa: S608 - both were written by the compiler


@compiles(among, "postgresql")
def _among_postgresql(element: among, compiler: SQLCompiler, **kw: Any) -> str:
    return f"{compiler.process(element.column, **kw)} = ANY({compiler.process(element.param, **kw)})"


class _Array(FunctionElement[str]):
    """The columns of one row as a JSON array."""

    inherit_cache = True
    type = Text()


class _Arrays(FunctionElement[str]):
    """The arrays of all rows as one JSON array, empty where there is none."""

    inherit_cache = True
    type = Text()


class json_text(FunctionElement[str]):  # noqa: N801 - reads as SQL in the stores
    """A column that holds JSON, as part of a JSON array (`json_rows`) instead of as a text in it."""

    inherit_cache = True
    type = Text()


_JSON_FUNCTIONS: Final = {
    _Array: ("json_array({})", "json_build_array({})"),
    _Arrays: ("json_group_array({})", "coalesce(json_agg({}), '[]')"),
    json_text: ("json({})", "({})::json"),
}
for _element, (_on_sqlite, _on_postgresql) in _JSON_FUNCTIONS.items():
    for _name, _form in (("sqlite", _on_sqlite), ("postgresql", _on_postgresql)):

        @compiles(_element, _name)
        def _json_function(
            element: FunctionElement[str], compiler: SQLCompiler, *, _form: str = _form, **kw: Any
        ) -> str:
            return _form.format(compiler.process(element.clauses, **kw))


def json_rows(rows: Select[Any]) -> ScalarSelect[str]:
    """A sub-select as one value: a JSON array with an array for each row, in no order; no column may hold bytes.

    What belongs to a row comes with it in one statement, and is decoded in one go (`rows.mapper`).
    """
    return rows.with_only_columns(_Arrays(_Array(*rows.selected_columns)), maintain_column_froms=True).scalar_subquery()


class Compiled:
    """One statement in one dialect: its text and how to lay out its parameters."""

    def __init__(self, clause: Executable, dialect: Dialect) -> None:
        compiled = clause.compile(dialect=dialect)  # type: ignore[attr-defined]  # Executable is also a ClauseElement
        self.text: str = str(compiled)
        self._names: tuple[str, ...] = tuple(compiled.positiontup or ())
        required = {compiled.bind_names[bound] for bound in compiled.binds.values() if bound.required}
        self._literals = {name: value for name, value in compiled.params.items() if name not in required}
        # On SQLite a list travels as JSON (`among`).
        self._has_lists = dialect is SQLITE and any(isinstance(bound.type, ARRAY) for bound in compiled.binds.values())

    def arguments(self, params: Mapping[str, Any]) -> list[Any]:
        """The parameters in the order of the text. A missing one is a `KeyError`."""
        if not self._literals and not self._has_lists:
            return [params[name] for name in self._names]
        literals = self._literals
        values = [params[name] if name in params else literals[name] for name in self._names]
        if not self._has_lists:
            return values
        return [_for_sqlite(value) if value.__class__ is list else value for value in values]


def _for_sqlite(value: list[Any]) -> str:
    return msgspec.json.encode(value).decode()


class Statement:
    """A statement that is compiled once for each dialect, at its first use."""

    def __init__(self, clause: Executable) -> None:
        self.clause = clause

    @cached_property
    def sqlite(self) -> Compiled:
        """The statement for the standard library's driver."""
        return Compiled(self.clause, SQLITE)

    @cached_property
    def postgresql(self) -> Compiled:
        """The statement for asyncpg."""
        return Compiled(self.clause, POSTGRESQL)


class Query(Statement, Generic[T]):
    """A statement that returns rows, and the struct or scalar type that each row becomes (`rows.mapper`)."""

    def __init__(self, clause: Executable, row_type: type[T]) -> None:
        super().__init__(clause)
        names = tuple(column.key for column in clause.exported_columns)  # type: ignore[attr-defined]  # of every select and RETURNING
        self.to_row: Callable[[Row], T] = mapper(row_type, names)
