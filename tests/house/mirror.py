"""Tests mirror sources: `src/carryout/a/b.py` has `tests/a/test_b.py`, and the reverse."""

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from tests.house.source import Function, House, Rule, Source

# Tables are proved by the migrations' test, migrations by db/migrate's; the house rules by this very test.
_PROVED_ELSEWHERE: Final = ("src/carryout/db/tables/", "src/carryout/db/migrations/", "src/carryout/__main__.py")
# The whole program at once: kills, races, scenarios. No one source is their subject.
_OF_THE_WHOLE: Final = ("tests/test_house.py", "tests/whole/", "tests/contract/", "tests/house/", "tests/world/")


def _sources_without_test(house: House) -> Iterator[str]:
    tested = {_subject(source) for source in house.values() if _is_test(source)}
    for source in house.values():
        if not source.is_ours or source.path.startswith(_PROVED_ELSEWHERE) or _only_declares(source):
            continue
        wanted = source.path.removeprefix("src/carryout/").removesuffix(".py")
        if source.part != "__init__" and not any(_is_about(test, wanted) for test in tested):
            folder, _, name = f"tests/{wanted}".rpartition("/")
            yield f"{source.path}: has no {folder}/test_{name}.py"


def _only_declares(source: Source) -> bool:
    """Whether nothing in it acts: constants, types, protocols, and models, which are proved with their rules."""
    return source.part == "model" or all(_is_declared(function) for function in source.functions)


def _is_declared(function: Function) -> bool:
    last = function.body[-1]
    return isinstance(last, ast.Expr) and isinstance(last.value, ast.Constant)


def _tests_without_source(house: House) -> Iterator[str]:
    sources = {path.removeprefix("src/carryout/").removesuffix(".py") for path in house if path.startswith("src/")}
    for source in house.values():
        if not _is_test(source) or source.path.startswith(_OF_THE_WHOLE):
            continue
        if not any(_is_about(_subject(source), candidate) for candidate in sources):
            yield f"{source.path}: tests no source of that name (what tests the whole stands in tests/whole/)"


def _is_test(source: Source) -> bool:
    return source.path.startswith("tests/") and source.part.startswith("test_")


def _subject(source: Source) -> str:
    path = PurePosixPath(source.path.removeprefix("tests/"))
    return (path.parent / path.stem.removeprefix("test_")).as_posix()


def _is_about(subject: str, source: str) -> bool:
    """Whether a test is about a source.

    A long test is split: `test_store_races.py` is about `store.py` too. A package inside a room may be tested as one:
    `shopify/test_translate.py` is about `shopify/translate/orders.py`.
    """
    is_package = "/" in subject and source.startswith(f"{subject}/")
    return subject == source or subject.startswith(f"{source}_") or is_package


RULES: Final = (
    Rule(
        "every source has a test of its name",
        _sources_without_test,
        {"src/carryout/orders/rules.py": "def is_paid(order: Order) -> bool:\n    return order.paid\n"},
    ),
    Rule(
        "every test has a source of its name",
        _tests_without_source,
        {"tests/orders/test_ghosts.py": "def test_a_ghost_is_gone() -> None:\n    pass\n"},
    ),
)
