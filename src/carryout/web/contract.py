"""The API's document as it is shipped (`/openapi.json`), and the same as a page (`/docs`).

The page is rendered from the document once, has no script, and loads nothing: its policy allows one style sheet, in it.
"""

import hashlib
from pathlib import Path
from typing import Any, Final

import jinja2
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from carryout.web.problems import style_policy, templates

Document = dict[str, Any]

DOCUMENT: Final = Path(__file__).with_name("openapi.json")

_CACHED: Final = {"cache-control": "no-cache", "x-content-type-options": "nosniff"}
_METHODS: Final = ("get", "head", "options", "post", "put", "patch", "delete")


class ContractDoor:
    """`GET /openapi.json` and `GET /docs`; `HEAD` is the same without the body."""

    def __init__(self) -> None:
        self._document = DOCUMENT.read_bytes()
        self._page = _render(msgspec.json.decode(self._document)).encode()
        self._policy = style_policy(self._page.decode())

    async def document(self, request: Request) -> Response:
        """The document, byte for byte; any origin may read it."""
        headers = _CACHED | {"access-control-allow-origin": "*"}
        return _unless_known(request, self._document, "application/json", headers)

    async def page(self, request: Request) -> Response:
        """The document as a page for people."""
        headers = _CACHED | {"content-security-policy": self._policy, "referrer-policy": "no-referrer"}
        return _unless_known(request, self._page, "text/html", headers)


def _unless_known(request: Request, body: bytes, media_type: str, headers: dict[str, str]) -> Response:
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if etag in known or known == ["*"]:
        return Response(status_code=304, headers=headers | {"etag": etag})
    return Response(body, headers=headers | {"etag": etag}, media_type=media_type)


def _render(document: Document) -> str:
    environment = templates()
    environment.undefined = jinja2.ChainableUndefined  # most keys of a document are optional
    environment.filters["pretty"] = _pretty
    environment.filters["type"] = _type_name
    environment.filters["examples"] = _examples
    environment.globals["resolve"] = lambda part: _resolve(document, part)
    groups = [(tag, _operations(document, tag["name"])) for tag in document["tags"]]
    return environment.get_template("docs.html").render(document=document, groups=groups)


def _operations(document: Document, tag: str) -> list[tuple[str, str, Document]]:
    return [
        (method, path, item[method])
        for path, item in document["paths"].items()
        for method in _METHODS
        if method in item and tag in item[method]["tags"]
    ]


def _resolve(document: Document, part: Document) -> Document:
    """What a `$ref` stands for; anything else stands for itself."""
    if "$ref" not in part:
        return part
    found: Document = document
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found


def _examples(content: Document) -> list[tuple[str, Any]]:
    """The examples of a body, each with its name; a single one needs none."""
    if "example" in content:
        return [("", content["example"])]
    return [(part.get("summary", name), part["value"]) for name, part in content.get("examples", {}).items()]


def _pretty(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _type_name(schema: Document) -> str:
    """A schema in a few words: `string or null`, `list of Line`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    named = schema.get("type", "")
    words = [str(word) for word in (named if isinstance(named, list) else [named])]
    if "array" in words:
        words[words.index("array")] = f"list of {_type_name(schema['items'])}"
    if "enum" in schema:
        words = [f"one of {', '.join(map(str, schema['enum']))}"]
    return " or ".join(filter(None, words)) or "anything"
