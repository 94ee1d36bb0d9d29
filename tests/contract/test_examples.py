"""The document's examples are valid by its own schemas, and its codes and messages are those that the server sends."""

import inspect
import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import jsonschema_rs

from carryout import app
from carryout.entitlements.model import Refusal
from carryout.entitlements.rules import MESSAGES
from carryout.errors import CarryoutError
from carryout.shopify.model import Outcome
from carryout.web.contract import DOCUMENT

DOCUMENT_JSON: dict[str, Any] = json.loads(DOCUMENT.read_bytes())
SCHEMAS = DOCUMENT_JSON["components"]["schemas"]
# What is no error class: the refusals of the router, of the protocol, and of the sending door.
OF_HTTP = {phrase.phrase.lower().replace(" ", "_") for phrase in HTTPStatus}
OF_HTTP |= {"headers_too_large", "range_not_satisfiable"}


def contents(part: Any) -> Iterator[dict[str, Any]]:
    """Everything in the document that has a schema and may have examples."""
    if isinstance(part, dict):
        if "schema" in part:
            yield part
        for value in part.values():
            yield from contents(value)
    elif isinstance(part, list):
        for value in part:
            yield from contents(value)


def examples(content: dict[str, Any]) -> list[Any]:
    many = [example["value"] for example in content.get("examples", {}).values()]
    return [content["example"], *many] if "example" in content else many


ALL = [(content["schema"], example) for content in contents(DOCUMENT_JSON) for example in examples(content)]


def error_classes(base: type[CarryoutError] = CarryoutError) -> Iterator[type[CarryoutError]]:
    """Every error of the application."""
    assert app is not None  # all rooms are imported
    for error in base.__subclasses__():
        yield error
        yield from error_classes(error)


def test_every_example_is_valid_by_its_schema() -> None:
    for schema, example in ALL:
        whole = {**schema, "components": DOCUMENT_JSON["components"]}
        jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(example)
    assert len(ALL) > 40


def test_every_error_in_an_example_is_one_that_the_server_gives() -> None:
    messages = {refusal.value: MESSAGES[refusal] for refusal in Refusal}
    for error in error_classes():
        messages[error.__new__(error).code] = inspect.cleandoc(error.__doc__ or "")  # the code asks the class alone

    for _, example in ALL:
        if isinstance(example, dict) and "code" in example:
            assert example["code"] in messages.keys() | OF_HTTP
            if example["code"] in messages and "errors" not in example:  # those are Laravel's words
                shown = re.sub(r"\\\{\w+\\\}", ".+", re.escape(messages[example["code"]]))  # whatever the facts are
                assert re.fullmatch(shown, example["message"]), example


def test_the_words_of_the_document_are_those_of_the_code() -> None:
    assert SCHEMAS["RefusalCode"]["enum"] == [refusal.value for refusal in Refusal]
    assert set(SCHEMAS["Taken"]["properties"]["status"]["enum"]) == {outcome.value for outcome in Outcome}
