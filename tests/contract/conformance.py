"""Requests made from the document by schemathesis, half of them with real tokens, tickets and signatures in them."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from carryout.web.contract import DOCUMENT
from carryout.web.metrics import TOPICS
from tests.cast import OTHER
from tests.contract.scene import Scene, dumped, order_body, signature

CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
MERCHANT: Final = "/api/v1/"
SCHEMA: Final = schemathesis.openapi.from_path(DOCUMENT)
# The shop of the tests lives on.
_TOPICS: Final = sorted(TOPICS - {"shop/redact"})
_NOBODYS: Final = "82664d96-6dfd-4343-96b0-05c46f412a5b"
_JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def operations() -> Iterator[Any]:
    """Every operation of the document."""
    for result in SCHEMA.get_all_operations():
        assert isinstance(result, Ok), result
        yield result.ok()


def check(operation: Any, scene: Scene, base_url: str, examples: int) -> set[int]:
    """Ask for all that exists, then so many times for whatever comes, and hold every reply to the document.

    Answers the statuses that came.
    """
    statuses: set[int] = set()
    with requests.Session() as session:
        session.trust_env = False

        def ask(case: Any) -> None:
            reply = case.call(base_url, session, allow_redirects=False, timeout=20)
            case.validate_response(reply, checks=CHECKS)
            statuses.add(reply.status_code)

        @hypothesis.settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(st.data(), _cases(operation))
        def ask_for_anything(data: st.DataObject, case: Any) -> None:
            if data.draw(st.booleans()):
                _make_real(case, scene, lambda options: data.draw(st.sampled_from(options)), data.draw(_BODIES))
            ask(case)

        for index in range(len(scene.links)):
            case = operation.Case()
            _make_real(case, scene, partial(_turn, index), dumped(order_body(id=index + 1)))
            ask(case)
        ask_for_anything()
    return statuses


def _cases(operation: Any) -> st.SearchStrategy[Any]:
    positive: st.SearchStrategy[Any] = operation.as_strategy(GenerationMode.POSITIVE)
    if any(operation.iter_parameters()) or operation.body:
        return st.one_of(positive, operation.as_strategy(GenerationMode.NEGATIVE))
    return positive


def _turn(index: int, options: Sequence[Any]) -> Any:
    return options[index % len(options)]


def _make_real(case: Any, scene: Scene, pick: Callable[[Sequence[Any]], Any], raw: bytes) -> None:
    """Put what exists into a case; `raw` is a webhook's body, to be signed."""
    match case.operation.path:
        case "/api/v2/customer-account-orders" if case.operation.method != "options":
            case.query = {"id": pick((*scene.tokens, scene.poor))}
        case "/d/{ticket}/{filename}":
            ticket, filename = pick([*scene.tickets, *((order, "all.zip") for order, _ in scene.pages)])
            case.path_parameters = {"ticket": ticket, "filename": filename}
            case.headers = {"Accept": pick(("*/*", "text/html"))}
        case "/f/{ticket}/{filename}":
            case.path_parameters = {"ticket": pick(scene.downloads), "filename": "Bücher.epub"}
            case.headers = {"Accept": pick(("*/*", "text/html")), **pick(_CONDITIONS)}
        case "/o/{ticket}" | "/o/{ticket}/logo" | "/o/{ticket}/all":
            case.path_parameters = {"ticket": pick(scene.pages)[0]}
        case "/o/{ticket}/{grant}":
            ticket, grant = pick(scene.pages)
            case.path_parameters = {"ticket": ticket, "grant": grant}
        case path if path.startswith(MERCHANT):
            _open(case, scene, pick)
        case "/webhooks/shopify":
            case.body = raw
            case.media_type = "application/json"
            case.headers["X-Shopify-Hmac-Sha256"] = signature(raw)
            case.headers["X-Shopify-Shop-Domain"] = OTHER.domain
            case.headers["X-Shopify-Topic"] = pick(_TOPICS)


def _open(case: Any, scene: Scene, pick: Callable[[Sequence[Any]], Any]) -> None:
    """Show a key, and name what exists: a parameter's place in the path says what it is."""
    case.headers["Authorization"] = f"Bearer {pick((scene.key, scene.old_key))}"
    for name, ids in named_ids(case.operation.path, scene).items():
        case.path_parameters[name] = pick((*ids, _NOBODYS))


def named_ids(path: str, scene: Scene) -> dict[str, tuple[str, ...]]:
    """What may stand for each parameter of a path: `{id}` of `/assets/{id}` is an asset."""
    places = re.findall(r"/([^/{}]+)/\{(\w+)\}", path)
    return {name: scene.ids[kind] for kind, name in places if kind in scene.ids}


_CONDITIONS: Final[tuple[dict[str, str], ...]] = (
    {"Range": "bytes=0-9"},
    {},
    {"Range": "bytes=9999-"},
    {"If-None-Match": "*"},
    {"Range": "bytes=0-1,8-9"},
    {"If-Match": '"another"'},
)
_ODD_ORDERS: Final = st.dictionaries(st.sampled_from(sorted(order_body())), _JSON, max_size=3)
_BODIES: Final = st.one_of(
    _ODD_ORDERS.map(lambda odd: dumped(order_body(**odd))),
    _JSON.map(dumped),
    st.binary(min_size=1, max_size=40),
)
