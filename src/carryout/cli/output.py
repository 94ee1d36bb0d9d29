"""How commands answer: lines and tables for people, with `--json` one document for programs; words go to stderr."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from cyclopts import CycloptsError, Parameter

from carryout.clock import iso, parse_iso

AsJson = Annotated[bool, Parameter(name="--json", help="Print one JSON document.", show_default=False)]
StoreName = Annotated[str, Parameter(name="--store", help="The store's id or domain.")]


def print_json(document: object) -> None:
    """The document on stdout."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def print_table(rows: Sequence[Mapping[str, Any]], columns: Iterable[str]) -> None:
    """The rows as aligned columns, each under its name."""
    names = list(columns)
    cells = [[name.replace("_", " ") for name in names], *([shown(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_facts(facts: Mapping[str, Any]) -> None:
    """One fact a line."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        print(f"{name.replace('_', ' '):<{width}}  {shown(value)}".rstrip())


def say(words: str) -> None:
    """A word beside the answer."""
    sys.stderr.write(words + "\n")


def shown(value: object) -> str:
    """A value as a person reads it in a table: one line, nothing that a terminal would obey."""
    match value:
        case None:
            text = "-"
        case bool():
            text = "yes" if value else "no"
        case list() | tuple():
            text = ", ".join(map(shown, value))
        case _:
            text = str(value)
    return "".join(char if char.isprintable() else " " for char in text)


def iso_or_none(at: int | None) -> str | None:
    """A time as ISO 8601, or None."""
    return None if at is None else iso(at)


def pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    """The `KEY=VALUE` words of a command. Errors: `CycloptsError`, for the command was called wrongly."""
    if not words:
        raise CycloptsError(msg="Name at least one KEY=VALUE.")
    found = []
    for word in words:
        key, sign, value = word.partition("=")
        if not sign or not key:
            raise CycloptsError(msg=f'"{word}" is not KEY=VALUE.')
        found.append((key, value))
    return found


def moment(text: str) -> int:
    """A time that somebody wrote, in microseconds UTC. Errors: `CycloptsError`."""
    at = parse_iso(text)
    if at is None:
        raise CycloptsError(msg=f'"{text}" is not a time such as 2026-12-24T18:00:00Z.')
    return at
