import json
import re
from html.parser import HTMLParser

import pytest
from starlette.routing import Route, Router

from carryout.web.contract import DOCUMENT, ContractDoor, Document
from carryout.web.edge import Edge
from carryout.web.metrics import Metrics
from tests.web.serving import call


@pytest.fixture(scope="module")
def app() -> Edge:
    door = ContractDoor()
    return Edge(Router([Route("/openapi.json", door.document), Route("/docs", door.page)]), Metrics(), None)


@pytest.fixture(scope="module")
def document() -> Document:
    loaded: Document = json.loads(DOCUMENT.read_bytes())
    return loaded


async def test_the_document_is_served_byte_for_byte(app: Edge) -> None:
    status, headers, body = await call(app, path="/openapi.json")

    assert (status, body) == (200, DOCUMENT.read_bytes())
    assert headers[b"content-type"] == b"application/json"


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
async def test_who_has_it_is_not_sent_it_again(app: Edge, path: str) -> None:
    _, headers, _ = await call(app, path=path)

    status, again, body = await call(app, path=path, headers=[(b"if-none-match", b"W/" + headers[b"etag"])])

    assert (status, body, again[b"etag"]) == (304, b"", headers[b"etag"])


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
async def test_head_and_other_methods_behave(app: Edge, path: str) -> None:
    get = await call(app, path=path)
    head = await call(app, "HEAD", path)
    options = await call(app, "OPTIONS", path)

    assert head[1][b"content-length"] == get[1][b"content-length"]
    assert (options[0], set(options[1][b"allow"].split(b", "))) == (405, {b"GET", b"HEAD"})


async def test_the_page_has_no_script_and_loads_nothing(app: Edge) -> None:
    loading: list[str] = []

    class Finder(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            loading.extend(tag for name, _ in attrs if name in ("src", "srcset", "style") or name.startswith("on"))
            loading.extend(tag for _ in [0] if tag in ("script", "link", "iframe", "object"))

    _, headers, body = await call(app, path="/docs")
    Finder().feed(body.decode())

    assert loading == []
    assert not re.search(rb"url\(|@import", body)
    assert headers[b"content-security-policy"].startswith(b"default-src 'none'; style-src 'sha256-")


async def test_the_page_shows_every_operation_and_schema(app: Edge, document: Document) -> None:
    _, _, body = await call(app, path="/docs")

    for item in document["paths"].values():
        for operation in item.values():
            assert f'id="{operation["operationId"]}"'.encode() in body
    for name in document["components"]["schemas"]:
        assert f'id="schema-{name}"'.encode() in body


async def test_the_page_shows_every_example_and_words_of_code_as_such(app: Edge) -> None:
    _, _, body = await call(app, path="/docs")

    assert b"Example of 200: A file whose limit is reached" in body
    assert b"Example of 403: ip_limit_reached" in body
    assert b"`" not in body
    assert b"<code>data.url</code>" in body


def test_every_reference_leads_somewhere(document: Document) -> None:
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', DOCUMENT.read_text()):
        found: Document = document
        for name in reference.split("/"):
            found = found[name]
