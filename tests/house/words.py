"""Rules on words: reasons, errors, and which errors are swallowed."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from typing import Final

from tests.house.source import Finding, Rule, Source, called_name, each, last_name

_EXEMPTION: Final = re.compile(
    r"#\s*(?:noqa(?::\s*[A-Z]+[0-9]+(?:,\s*[A-Z]+[0-9]+)*)?|type:\s*ignore(?:\[[\w, -]+\])?|pragma:[\w\s]+)"
)
# Anything may go wrong below these: the HTTP edge, the job loop, the command line. A probe only answers yes or no; what
# an unknown error keeps from being applied is parked, so that no delivery is lost.
_CATCHES_ALL: Final = (
    "src/carryout/web/edge.py",
    "src/carryout/web/health.py",
    "src/carryout/jobs/",
    "src/carryout/shopify/intake.py",
    "src/carryout/cli/",
)
# A driver hands whatever a transaction raised to the caller that waits for it in another thread.
_HANDS_ON: Final = ("src/carryout/db/",)
_ALL: Final = frozenset({"Exception", "BaseException"})


def _exemptions_without_reason(source: Source) -> Iterator[Finding]:
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type != tokenize.COMMENT:
            continue
        exemptions = list(_EXEMPTION.finditer(token.string))
        reason = token.string[exemptions[-1].end() :] if exemptions else ""
        if exemptions and not re.search(r"\w", reason):
            yield token.start[0], f"{token.string} has no reason on its line"


def _swallowed_errors(source: Source) -> Iterator[Finding]:
    if not source.is_ours or source.path.startswith((*_CATCHES_ALL, *_HANDS_ON)):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and _catches_all(node.type) and not isinstance(node.body[-1], ast.Raise):
            yield (
                node.lineno,
                "an unknown error is caught at the HTTP edge, in the job loop and on the command line only",
            )
        if isinstance(node, ast.Call) and called_name(node) == "suppress" and any(map(_catches_all, node.args)):
            yield node.lineno, "an unknown error is not suppressed"


def _catches_all(kind: ast.expr | None) -> bool:
    if isinstance(kind, ast.Tuple):
        return any(map(_catches_all, kind.elts))
    return kind is None or last_name(kind) in _ALL


def _errors_without_words(source: Source) -> Iterator[Finding]:
    if not source.is_ours:
        return
    for node in source.classes:
        if not any(last_name(base) == "CarryoutError" for base in node.bases):
            continue
        if not (ast.get_docstring(node) or "").endswith((".", "!", "?", ")")):
            yield node.lineno, f"the docstring of {node.name} is the sentence that a person reads"


RULES: Final = (
    Rule(
        "exemptions carry their reason",
        each(_exemptions_without_reason),
        {"src/carryout/orders/store.py": "import sqlalchemy  # noqa: TC002\n"},
    ),
    Rule(
        "unknown errors are caught in three places",
        each(_swallowed_errors),
        {"src/carryout/orders/service.py": "def f() -> None:\n    try:\n        g()\n    except Exception: ...\n"},
    ),
    Rule(
        "an error is its sentence",
        each(_errors_without_words),
        {"src/carryout/orders/service.py": "class OrderUnknown(CarryoutError):\n    pass\n"},
    ),
)
