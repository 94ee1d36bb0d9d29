"""Rules on names: what things may be called, and where a unit belongs."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from tests.house.source import DOORS, Finding, Rule, Source, assigned_names, each, parameters

_EMPTY: Final = frozenset(
    {"util", "utils", "helper", "helpers", "common", "misc", "base", "manager", "handler", "processor", "factory"}
)
_STORE_VERBS: Final = ("find", "list", "count", "insert", "update", "delete")
# The domain's own verbs: one conditional statement each, whose returned row is the judgement. Adding one is a decision.
_CONDITIONAL_VERBS: Final = (
    "cancel", "claim", "end", "lock", "postpone", "prune", "remove", "renew", "retry", "revoke", "spend", "upsert",
)  # fmt: skip
_UNITLESS: Final = frozenset({"size", "timeout", "age", "delay", "duration", "interval", "ttl"})
# Whoever gives the names here is not us: the contract's payloads (the storefront is all contract), uvicorn, asyncio.
_CONTRACT_PARTS: Final = DOORS | {"contract", "openapi", "translate", "protocol"}


def _empty_names(source: Source) -> Iterator[Finding]:
    if not source.is_ours:
        return
    named = [(1, source.part), (1, source.room)]
    named += [(node.lineno, node.name) for node in [*source.classes, *source.functions]]
    for line, name in named:
        if _words(name)[-1:] and _words(name)[-1] in _EMPTY:
            yield line, f"{name} says what it is made of, not what it does: name it for its part in the business"


def _words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)]


def _store_verbs(source: Source) -> Iterator[Finding]:
    if not source.is_ours or source.part != "store":
        return
    for function in source.top_functions:
        verb = function.name.split("_")[0]
        if verb and verb not in (*_STORE_VERBS, *_CONDITIONAL_VERBS):
            yield function.lineno, f"{function.name} begins with none of the store verbs ({', '.join(_STORE_VERBS)})"


def _missing_units(source: Source) -> Iterator[Finding]:
    if not source.is_ours or source.part in _CONTRACT_PARTS or source.room == "storefront":
        return
    named = [(argument.lineno, argument.arg) for function in source.functions for argument in parameters(function)]
    fields = [statement for node in source.classes for statement in node.body]
    named += [
        (statement.lineno, name) for statement in [*fields, *source.tree.body] for name in assigned_names(statement)
    ]
    for line, name in named:
        if name.lower().strip("_") in _UNITLESS:
            yield line, f"{name} has no unit: {name}_bytes, {name}_seconds"


def _test_sentences(source: Source) -> Iterator[Finding]:
    if source.is_ours or not source.part.startswith("test_"):
        return
    for function in source.functions:
        if function.name.startswith("test_") and len(function.name.split("_")) < 4:
            yield function.lineno, f"{function.name} is no sentence: test_a_spent_link_is_refused"


def _test_classes(source: Source) -> Iterator[Finding]:
    if source.is_ours:
        return
    for node in source.tree.body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield node.lineno, f"{node.name}: a test is a function, and its file is the group"


RULES: Final = (
    Rule(
        "nothing is named for being a helper",
        each(_empty_names),
        {"src/carryout/orders/store.py": "class OrderManager:\n    def find(self) -> None:\n        ...\n"},
    ),
    Rule(
        "store functions begin with a store verb",
        each(_store_verbs),
        {"src/carryout/orders/store.py": "async def get_order(tx: Tx, store_id: int) -> Order | None:\n    ...\n"},
    ),
    Rule(
        "a unit stands in the name",
        each(_missing_units),
        {"src/carryout/storage/disk.py": "class Blob(Struct):\n    sha256: str\n    size: int\n"},
    ),
    Rule(
        "the name of a test is a sentence",
        each(_test_sentences),
        {"tests/orders/test_store.py": "async def test_orders() -> None:\n    assert find() is None\n"},
    ),
    Rule(
        "tests are functions",
        each(_test_classes),
        {"tests/orders/test_store.py": "class TestOrders:\n    def test_an_order_is_found(self) -> None: ...\n"},
    ),
)
