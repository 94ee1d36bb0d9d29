"""What an error looks like over HTTP: its status, and `{"message", "code"}` for programs or a small page for people."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import jinja2
import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from carryout.errors import CarryoutError, Kind

STATUS: Final[Mapping[Kind, int]] = {
    Kind.INVALID: 422,
    Kind.MALFORMED: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.PLAN: 402,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.GONE: 410,
    Kind.TOO_LARGE: 413,
    Kind.TOO_MANY: 429,
    Kind.BUSY: 503,
    Kind.MISCONFIGURED: 500,
}

INTERNAL: Final = ("Internal error", "internal_error")

_ALWAYS_PAGES: Final = ("/o/", "/dashboard")
_PAGES_FOR_BROWSERS: Final = ("/d/", "/f/")
_NO_STORE: Final = {"cache-control": "no-store", "referrer-policy": "no-referrer", "x-content-type-options": "nosniff"}
_MESSAGES: Final = {
    404: "There is nothing at this address.",
    405: "This address does not answer to this method.",
    413: "The request's body is too large.",
}


class BodyTooLarge(CarryoutError):
    """The request's body is too large: at most {limit_bytes} bytes are accepted."""

    kind = Kind.TOO_LARGE


def templates() -> jinja2.Environment:
    """The environment of this package's templates; everything is escaped."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def style_policy(html: str) -> str:
    """A Content-Security-Policy that lets a page use the one style sheet written in it, and nothing else."""
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style[1].encode() if style else b"").digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def problem(scope: Mapping[str, Any], error: CarryoutError) -> Response:
    """The reply for an error of ours."""
    headers = {} if error.retry_after_seconds is None else {"retry-after": str(error.retry_after_seconds)}
    message, code = (error.message, error.code) if error.kind is not Kind.MISCONFIGURED else INTERNAL
    return refusal(scope, STATUS[error.kind], message, code, headers)


def http_problem(scope: Mapping[str, Any], error: HTTPException) -> Response:
    """The reply for what the router refuses (404, 405 with `Allow`)."""
    phrase = HTTPStatus(error.status_code).phrase
    message = _MESSAGES.get(error.status_code, phrase)
    return refusal(scope, error.status_code, message, phrase.lower().replace(" ", "_"), error.headers or {})


def refusal(
    scope: Mapping[str, Any],
    status: int,
    message: str,
    code: str,
    headers: Mapping[str, str] | None = None,
    *,
    way_on: str | None = None,
    errors: Mapping[str, Sequence[str]] | None = None,
) -> Response:
    """A reply with a status and a message: a page where a person looks at it, else JSON. Never cached.

    `way_on` is the address of the order's page, where a person can go on; `errors` are the faults of each field.
    """
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:  # nobody waits for the rest of the body
        headers = {**(headers or {}), "connection": "close"}
    if wants_page(scope):
        html = _PAGE.render(status=status, message=message, way_on=way_on)
        shown = _NO_STORE | {"content-security-policy": _PAGE_POLICY, "x-robots-tag": "noindex"} | dict(headers or {})
        return Response(html, status, shown, media_type="text/html")
    body = msgspec.json.encode({"message": message, "code": code} | ({} if errors is None else {"errors": errors}))
    return Response(body, status, _NO_STORE | dict(headers or {}), media_type="application/json")


def wants_page(scope: Mapping[str, Any]) -> bool:
    """Whether this request's errors are read by a person: by path, and at the download doors by `Accept`."""
    path = scope["path"]
    if path.startswith(_ALWAYS_PAGES):
        return True
    if not path.startswith(_PAGES_FOR_BROWSERS):
        return False
    return any(name == b"accept" and b"text/html" in value.lower() for name, value in scope["headers"])


_PAGE: Final = templates().get_template("problem.html")
_PAGE_POLICY: Final = style_policy(_PAGE.render(status=404, message="", way_on=None))
