"""What a rule of the house reads: every source file with its syntax tree, and how a rule is written down."""

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOORS: Final = frozenset({"api", "pages", "webhooks", "stream", "uploads", "tasks"})

Function = ast.FunctionDef | ast.AsyncFunctionDef
Finding = tuple[int, str]


@dataclass(frozen=True)
class Source:
    """One Python file; `path` is relative to the repository, such as `src/carryout/orders/store.py`."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax tree, parsed once for all rules."""
        return ast.parse(self.text)

    @property
    def is_ours(self) -> bool:
        """Whether it is the program itself, not a test of it."""
        return self.path.startswith("src/")

    @property
    def room(self) -> str:
        """The package below `carryout` that it stands in: `orders`; empty for a module of the top."""
        parts = PurePosixPath(self.path).parts
        return parts[2] if len(parts) > 3 else ""

    @property
    def part(self) -> str:
        """What it is in its room: `store`, also for a module of the package `store/`."""
        path = PurePosixPath(self.path)
        return "store" if path.parent.name == "store" else path.stem

    @cached_property
    def functions(self) -> list[Function]:
        """Every function and method."""
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    @cached_property
    def top_functions(self) -> list[Function]:
        """The functions of the module itself."""
        return [node for node in self.tree.body if isinstance(node, Function)]

    @cached_property
    def classes(self) -> list[ast.ClassDef]:
        """Every class."""
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef)]

    @cached_property
    def calls(self) -> list[ast.Call]:
        """Every call."""
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]

    @cached_property
    def docstrings(self) -> set[int]:
        """The identities of the constants that are docstrings."""
        documented = [self.tree, *self.classes, *self.functions]
        return {id(node.body[0].value) for node in documented if node.body and isinstance(node.body[0], ast.Expr)}


House = Mapping[str, Source]


@dataclass(frozen=True)
class Rule:
    """A rule: its sentence, what finds breaches of it, and a small house that it must refuse."""

    sentence: str
    check: Callable[[House], Iterator[str]]
    refused: Mapping[str, str]

    def __str__(self) -> str:
        """How pytest names it."""
        return self.sentence.replace(" ", "_")


def each(find: Callable[[Source], Iterator[Finding]]) -> Callable[[House], Iterator[str]]:
    """Make a check of the house from what looks at one source at a time."""

    def check(house: House) -> Iterator[str]:
        for source in house.values():
            for line, what in find(source):
                yield f"{source.path}:{line}: {what}"

    return check


def read_house() -> House:
    """The sources and tests as they are now."""
    paths = [path for folder in ("src", "tests") for path in sorted((ROOT / folder).rglob("*.py"))]
    return make_house({path.relative_to(ROOT).as_posix(): path.read_text() for path in paths})


def make_house(texts: Mapping[str, str]) -> House:
    """A house of these files."""
    return {path: Source(path, text) for path, text in texts.items()}


def called_name(call: ast.Call) -> str:
    """The last name of what is called: `write` for `self.database.write(…)`."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def last_name(node: ast.expr) -> str:
    """The last name of an expression: `database` for `self.database`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript):
        return last_name(node.value)
    return node.id if isinstance(node, ast.Name) else ""


def parameters(function: Function) -> list[ast.arg]:
    """The named parameters, in order, without `self` and `cls`."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [argument for argument in named if argument.arg not in {"self", "cls"}]


def assigned_names(statement: ast.stmt) -> list[str]:
    """The plain names that a statement assigns."""
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    if isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def calls_in(node: ast.AST) -> list[ast.Call]:
    """Every call below a node, in the order of the text."""
    calls = [found for found in ast.walk(node) if isinstance(found, ast.Call)]
    return sorted(calls, key=lambda call: (call.lineno, call.col_offset))
