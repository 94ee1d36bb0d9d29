"""Rules on transactions: who opens one, what is handed to it, and how a condition is judged."""

import ast
from collections.abc import Iterator
from typing import Final

from tests.house.source import (
    DOORS,
    Finding,
    Function,
    Rule,
    Source,
    assigned_names,
    called_name,
    calls_in,
    each,
    last_name,
    parameters,
)

_ENDINGS: Final = frozenset({"begin", "begin_nested", "commit", "rollback"})
_OPENINGS: Final = frozenset({"read", "sweep", "write"})
# Whose row it is: the store, or what a buyer shows. A foreign row is then not found, rather than forbidden.
_OWNERS: Final = frozenset(
    {"store_id", "store", "owner", "ticket", "token", "token_digest", "digest", "order", "grant"}
)
# Where owners come from (a store is found by its domain, a key by its digest), and the queue, which serves all stores.
_WITHOUT_OWNER: Final = frozenset({"merchants", "jobs"})
# Sweeps over every store, by the clock (their jobs have no owner) or over all that one process is sending.
_SWEEPS: Final = ("prune", "list_due", "count_", "delete_before", "find_next", "list_stopped", "list_watched")


def _endings_outside_db(source: Source) -> Iterator[Finding]:
    if not source.is_ours or source.room == "db":
        return
    for call in source.calls:
        if isinstance(call.func, ast.Attribute) and call.func.attr in _ENDINGS:
            yield call.lineno, f"only db/ may {call.func.attr}: returning commits, raising rolls back"


def _doors_with_two_transactions(source: Source) -> Iterator[Finding]:
    # A stream writes its counts while it sends.
    if not source.is_ours or source.part not in DOORS - {"stream"}:
        return
    for function in source.functions:
        openings = [call for call in calls_in(function) if _opens_transaction(call)]
        for kind in ("write", "read"):
            if len([call for call in openings if called_name(call) == kind]) > 1:
                yield (
                    function.lineno,
                    f"{function.name} opens two transactions to {kind}: hand one function to the database",
                )


def _transactions_of_nothing(source: Source) -> Iterator[Finding]:
    if not source.is_ours:
        return
    for call in source.calls:
        if _opens_transaction(call) and not (call.args and isinstance(call.args[0], ast.Name | ast.Attribute)):
            yield call.lineno, "hand the database a named function: it may be run again after a conflict"


def _opens_transaction(call: ast.Call) -> bool:
    return (
        isinstance(call.func, ast.Attribute)
        and call.func.attr in _OPENINGS
        and last_name(call.func.value).strip("_") == "database"
    )


def _tx_not_first(source: Source) -> Iterator[Finding]:
    if not source.is_ours or source.room == "db":
        return
    for function in source.functions:
        names = [argument.arg for argument in parameters(function)]
        typed = [
            argument.arg for argument in parameters(function) if argument.annotation and _is_tx(argument.annotation)
        ]
        if (typed or "tx" in names) and (typed != ["tx"] or names[0] != "tx"):
            yield function.lineno, f"{function.name} takes the transaction first, as `tx: Tx`"


def _is_tx(annotation: ast.expr) -> bool:
    return last_name(annotation) == "Tx"


def _no_owner(source: Source) -> Iterator[Finding]:
    if not source.is_ours or source.part not in {"store", "service"} or source.room in _WITHOUT_OWNER:
        return
    for function in source.top_functions:
        names = [argument.arg for argument in parameters(function)]
        is_private = function.name.startswith(("_", *_SWEEPS))
        if names[:1] == ["tx"] and not is_private and not _OWNERS & set(names[1:2]):
            yield function.lineno, f"{function.name} takes the owner (store_id) second: else a foreign row is found"


def _select_then_update(source: Source) -> Iterator[Finding]:
    if not source.is_ours or source.part != "store":
        return
    statements = _Statements(source)
    for function in source.top_functions:
        read: set[str] = set()
        for name in _names_in_order(function):
            if changed := statements.changed(name):
                if changed in read:
                    yield (
                        function.lineno,
                        f"{function.name} reads {changed} and then changes it: put the condition in WHERE",
                    )
            else:
                read |= statements.read(name)


def _names_in_order(function: Function) -> list[str]:
    names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
    return [node.id for node in sorted(names, key=lambda node: (node.lineno, node.col_offset))]


class _Statements:
    """What the statements of a store read and change; `_o = orders.c` means orders."""

    def __init__(self, source: Source) -> None:
        assigned = [node for node in source.tree.body if isinstance(node, ast.Assign | ast.AnnAssign) and node.value]
        self._values = {name: node.value for node in assigned for name in assigned_names(node) if node.value}

    def changed(self, name: str) -> str:
        """The table that a statement updates, or nothing."""
        if name not in self._values:
            return ""
        updates = [call for call in calls_in(self._values[name]) if called_name(call) == "update" and call.args]
        return last_name(updates[0].args[0]) if updates else ""

    def read(self, name: str) -> set[str]:
        """The tables that a statement selects from without locking the row."""
        value = self._values.get(name)
        if value is None:
            return set()
        calls = [called_name(call) for call in calls_in(value)]
        if "select" not in calls or "with_for_update" in calls:
            return set()
        return self._tables(value, set())

    def _tables(self, value: ast.expr, seen: set[str]) -> set[str]:
        found = set()
        for node in ast.walk(value):
            if isinstance(node, ast.Attribute) and node.attr == "c" and isinstance(node.value, ast.Name):
                found.add(node.value.id)
            elif isinstance(node, ast.Name) and node.id in self._values and node.id not in seen:
                found |= self._tables(self._values[node.id], seen | {node.id})
        return found


RULES: Final = (
    Rule(
        "only the database package ends a transaction",
        each(_endings_outside_db),
        {"src/carryout/orders/service.py": "async def block(tx: Tx, store_id: int) -> None:\n    await tx.commit()\n"},
    ),
    Rule(
        "a door opens one transaction",
        each(_doors_with_two_transactions),
        {
            "src/carryout/orders/api.py": "async def block(self, request: Request) -> Response:\n"
            "    await self.database.write(service.block, 1)\n    await self.database.write(service.note, 1)\n"
        },
    ),
    Rule(
        "a transaction is a named function",
        each(_transactions_of_nothing),
        {"src/carryout/orders/api.py": "async def show(self) -> int:\n    await self.database.read(lambda tx: 1)\n"},
    ),
    Rule(
        "the transaction is the first parameter",
        each(_tx_not_first),
        {"src/carryout/orders/store.py": "async def find_order(store_id: int, tx: Tx) -> Order | None:\n    ...\n"},
    ),
    Rule(
        "the owner is the second parameter",
        each(_no_owner),
        {"src/carryout/orders/store.py": "async def find_order(tx: Tx, order_id: int) -> Order | None:\n    ...\n"},
    ),
    Rule(
        "a condition is judged by the statement that changes the row",
        each(_select_then_update),
        {
            "src/carryout/entitlements/store.py": "FIND = Query(select(grants.c.used), int)\n"
            "SPEND = Statement(update(grants).values(used=bindparam('used')))\n"
            "async def spend_use(tx: Tx, store_id: int) -> None:\n"
            "    used = await tx.one(FIND, store_id=store_id)\n    await tx.run(SPEND, used=used + 1)\n"
        },
    ),
)
