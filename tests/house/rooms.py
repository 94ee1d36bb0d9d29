"""Rules on rooms: what a part of a room may hold."""

import ast
import re
import sys
from collections.abc import Iterator
from typing import Final

from tests.house.source import (
    Finding,
    Function,
    House,
    Rule,
    Source,
    assigned_names,
    called_name,
    each,
    last_name,
    parameters,
)

_PURE: Final = ("downloads/ranges", "downloads/archive", "downloads/disposition", "filenames", "shopify/translate")
_IMPURE: Final = frozenset(
    {"asyncio", "io", "logging", "os", "pathlib", "random", "secrets", "shutil", "socket", "sqlite3", "subprocess"}
    | {"tempfile", "threading", "time", "uuid"}
)
_IMPURE_CALLS: Final = frozenset({"open", "print", "input", "now", "utcnow", "today"})
_WRITES: Final = frozenset({"insert", "update", "delete"})
_MUTABLE: Final = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
_MUTABLE_CALLS: Final = frozenset({"list", "dict", "set", "defaultdict", "deque", "Counter", "OrderedDict"})
_MUTATIONS: Final = frozenset({"append", "add", "clear", "extend", "insert", "pop", "popitem", "setdefault", "update"})
_HTML: Final = re.compile(
    r"</?(html|head|body|div|p|a|br|span|h[1-6]|table|tr|td|ul|ol|li|script|style|form|input|img|button)\b[^<]*>"
)


def _is_pure(source: Source) -> bool:
    below = source.path.removeprefix("src/carryout/")
    return source.is_ours and (source.part == "rules" or below.startswith(_PURE))


def _impure_imports(source: Source) -> Iterator[Finding]:
    if not _is_pure(source):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            modules = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        else:
            continue
        for module in modules:
            if not _is_pure_import(module, source):
                yield node.lineno, f"{source.part}.py is pure, but imports {module}"


def _is_pure_import(module: str, source: Source) -> bool:
    top = module.partition(".")[0]
    if top == "carryout":
        # Its own parts, and what is as pure; a time is parsed without asking the clock (`now()` is refused below).
        own = source.path.removeprefix("src/").rpartition("/")[0].replace("/", ".")
        is_own = module == own or module.startswith(f"{own}.")
        return is_own or module.endswith(".model") or module in ("carryout.clock", "carryout.filenames")
    return top == "msgspec" or (top in sys.stdlib_module_names and top not in _IMPURE)


def _impure_acts(source: Source) -> Iterator[Finding]:
    if not _is_pure(source):
        return
    for call in source.calls:
        if called_name(call) in _IMPURE_CALLS:
            yield call.lineno, f"{source.part}.py is pure, but calls {called_name(call)}"
    for function in source.functions:
        if isinstance(function, ast.AsyncFunctionDef):
            yield function.lineno, f"{function.name} waits for something: a rule has its facts already"


def _rules_that_raise(source: Source) -> Iterator[Finding]:
    if not source.is_ours or source.part != "rules":
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Raise):
            yield node.lineno, "a rule answers, it does not raise"
        if isinstance(node, ast.ClassDef) and [last_name(base) for base in node.bases] != ["NamedTuple"]:
            yield node.lineno, f"{node.name}: rules.py holds functions; its facts stand in model.py"


def _thawed_models(source: Source) -> Iterator[Finding]:
    if not source.is_ours or source.part != "model":
        return
    for node in source.classes:
        frozen = any(word.arg == "frozen" and getattr(word.value, "value", False) for word in node.keywords)
        fixed = any(
            re.search(r"(Enum|Flag|Error|Protocol|NamedTuple|TypedDict)$", last_name(base)) for base in node.bases
        )
        if not (frozen or fixed):
            yield node.lineno, f"{node.name} in model.py is no frozen struct and no enum"


def _foreign_writes(house: House) -> Iterator[str]:
    owners = dict(_table_owners(house))
    for source in house.values():
        if not source.is_ours or source.room == "db":
            continue
        for call in source.calls:
            table = last_name(call.args[0]) if called_name(call) in _WRITES and call.args else ""
            if table in owners and (source.room, source.part) not in {
                (owners[table], "store"),
                (owners[table], "queue"),
            }:
                yield f"{source.path}:{call.lineno}: {table} is written by {owners[table]}/store.py alone"


def _table_owners(house: House) -> Iterator[tuple[str, str]]:
    for source in house.values():
        if not source.path.startswith("src/carryout/db/tables/"):
            continue
        for statement in source.tree.body:
            value = statement.value if isinstance(statement, ast.Assign) else None
            if isinstance(value, ast.Call) and called_name(value) == "Table":
                yield assigned_names(statement)[0], source.part


def _module_state(source: Source) -> Iterator[Finding]:
    if not source.is_ours:
        return
    mutable = set()
    for statement in source.tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and _is_mutable(statement.value):
            mutable.update(assigned_names(statement))
            for name in assigned_names(statement):
                if not name.isupper() and not name.startswith("__"):
                    yield (
                        statement.lineno,
                        f"{name} is state of the module: make it a constant, or a field of an object",
                    )
    for function in source.functions:
        yield from _changes(function, mutable)


def _is_mutable(value: ast.expr | None) -> bool:
    return isinstance(value, _MUTABLE) or (isinstance(value, ast.Call) and called_name(value) in _MUTABLE_CALLS)


def _changes(function: Function, names: set[str]) -> Iterator[Finding]:
    for node in ast.walk(function):
        if isinstance(node, ast.Global):
            yield node.lineno, f"{function.name} changes state of the module: {', '.join(node.names)}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _MUTATIONS:
            target = node.func.value
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            target = node.value
        else:
            continue
        if isinstance(target, ast.Name) and target.id in names:
            yield node.lineno, f"{function.name} changes {target.id}, which every request shares"


def _html_in_python(source: Source) -> Iterator[Finding]:
    # What the demo sells is a merchant's book, not a page of ours.
    if not source.is_ours or source.path == "src/carryout/cli/demo_files.py":
        return
    exempt = source.docstrings | {id(call.args[0]) for call in source.calls if call.args and _is_pattern(call)}
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in exempt:
            continue
        if _HTML.search(node.value):
            yield node.lineno, "HTML stands in templates"


def _is_pattern(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and last_name(call.func.value) == "re"


def _only_forwards(source: Source) -> Iterator[Finding]:
    # A service may: other rooms reach a store's reading only through it.
    if not source.is_ours or source.part == "service":
        return
    for function in source.top_functions:
        body = [
            node for node in function.body if not (isinstance(node, ast.Expr) and id(node.value) in source.docstrings)
        ]
        if len(body) != 1 or not isinstance(body[0], ast.Return) or function.decorator_list:
            continue
        value = body[0].value.value if isinstance(body[0].value, ast.Await) else body[0].value
        if isinstance(value, ast.Call) and _is_same_call(function, value):
            yield function.lineno, f"{function.name} only forwards to {called_name(value)}"


def _is_same_call(function: Function, call: ast.Call) -> bool:
    given = [argument.id if isinstance(argument, ast.Name) else None for argument in call.args]
    taken: list[str | None] = [argument.arg for argument in parameters(function)]
    return bool(taken) and given == taken and not call.keywords and not called_name(call)[:1].isupper()


RULES: Final = (
    Rule(
        "rules import nothing that could know the world",
        each(_impure_imports),
        {"src/carryout/orders/rules.py": "import time\n\ndef is_late(at: int) -> bool:\n    return at < time.time()\n"},
    ),
    Rule(
        "rules do nothing but answer",
        each(_impure_acts),
        {"src/carryout/orders/rules.py": "async def is_paid(order: Order) -> bool:\n    return order.paid\n"},
    ),
    Rule(
        "rules do not raise and hold no classes",
        each(_rules_that_raise),
        {"src/carryout/orders/rules.py": "def standing(order: Order) -> Standing:\n    raise OrderUnknown\n"},
    ),
    Rule(
        "models are frozen",
        each(_thawed_models),
        {"src/carryout/orders/model.py": "class Line(msgspec.Struct):\n    line_id: int\n"},
    ),
    Rule(
        "a table is written by its own room",
        _foreign_writes,
        {
            "src/carryout/db/tables/orders.py": 'orders = Table("orders", metadata)\n',
            "src/carryout/catalog/store.py": "BLOCK = Statement(update(orders).values(blocked=True))\n",
        },
    ),
    Rule(
        "modules hold no state",
        each(_module_state),
        {"src/carryout/web/guessing.py": "SEEN = {}\n\ndef note(address: str) -> None:\n    SEEN[address] = True\n"},
    ),
    Rule(
        "no HTML in Python",
        each(_html_in_python),
        {"src/carryout/web/problems.py": 'def page(title: str) -> str:\n    return f"<h1>{title}</h1>"\n'},
    ),
    Rule(
        "no function only forwards",
        each(_only_forwards),
        {"src/carryout/web/addresses.py": "def peer(scope: Scope) -> str:\n    return client_of(scope)\n"},
    ),
)
