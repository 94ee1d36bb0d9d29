"""Prints the longest files and functions: the tail is what grows (CONTRIBUTING.md)."""

import ast
from collections.abc import Iterator
from pathlib import Path

FILE_LINES = 400
FUNCTION_LINES = 60
SHOWN = 3


def main() -> int:
    """Print the longest three of each; 1 when one is past what we accept."""
    paths = [path for folder in ("src", "tests") for path in Path(folder).rglob("*.py")]
    # A migration is a list of steps that nobody edits again.
    sources = {path: path.read_text() for path in paths if "versions" not in path.parts}
    files = sorted(((len(text.splitlines()), str(path)) for path, text in sources.items()), reverse=True)
    own = {path: text for path, text in sources.items() if path.parts[0] == "src"}
    functions = sorted((found for path, text in own.items() for found in _functions(path, text)), reverse=True)
    _show("files", files, FILE_LINES)
    _show("functions", functions, FUNCTION_LINES)
    return int(files[0][0] > FILE_LINES or functions[0][0] > FUNCTION_LINES)


def _functions(path: Path, text: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (node.end_lineno or node.lineno) - node.lineno + 1, f"{path}:{node.lineno} {node.name}"


def _show(what: str, found: list[tuple[int, str]], accepted: int) -> None:
    print(f"Longest {what} (at most {accepted} lines):")
    for lines, where in found[:SHOWN]:
        print(f"  {lines:4d}  {where}")


if __name__ == "__main__":
    raise SystemExit(main())
