"""What the doors of downloads answer, in headers."""

from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from carryout.downloads import ranges
from carryout.downloads.disposition import file_headers
from carryout.downloads.sources import Source
from carryout.entitlements.model import OrderView, Refusal, Refused
from carryout.web.problems import refusal

STATUS: Final = {
    Refusal.ACCESS_BLOCKED: HTTPStatus.FORBIDDEN,
    Refusal.ORDER_CANCELLED: HTTPStatus.FORBIDDEN,
    Refusal.FRAUD_SUSPECTED: HTTPStatus.FORBIDDEN,
    Refusal.ORDER_REFUNDED: HTTPStatus.FORBIDDEN,
    Refusal.ORDER_NOT_PAID: HTTPStatus.PAYMENT_REQUIRED,
    Refusal.NOT_YET_AVAILABLE: HTTPStatus.FORBIDDEN,
    Refusal.EXPIRED: HTTPStatus.GONE,
    Refusal.DOWNLOAD_LIMIT_REACHED: HTTPStatus.FORBIDDEN,
    Refusal.IP_LIMIT_REACHED: HTTPStatus.FORBIDDEN,
    Refusal.ASSET_UNAVAILABLE: HTTPStatus.NOT_FOUND,
}
NO_STORE: Final = {"cache-control": "private, no-store", "referrer-policy": "no-referrer", "x-robots-tag": "noindex"}

_UNSATISFIABLE: Final = "The file has no such part.", "range_not_satisfiable"
_FAILED: Final = "This is not the file that the request is about.", "precondition_failed"


def zip_name(order: OrderView) -> str:
    """What the ZIP of an order is called."""
    name = order.settings.title or "order"
    return f"{name}.zip" if order.order_number is None else f"{name}-{order.order_number}.zip"


def nothing() -> Response:
    """204, for a prefetch."""
    return Response(status_code=HTTPStatus.NO_CONTENT, headers=NO_STORE)


def redirect(url: str) -> Response:
    """302, which nobody may keep."""
    return Response(status_code=HTTPStatus.FOUND, headers=NO_STORE | {"location": url})


def refused(request: Request, found: Refused) -> Response:
    """The refusal, in the store's words."""
    return refusal(request.scope, STATUS[found.refusal], found.message, found.refusal.value)


def whole_headers(source: Source, filename: str) -> dict[str, str]:
    """The headers of a reply with all of the file."""
    headers = file_headers(filename) | validators(source) | {"content-length": str(source.size_bytes)}
    return headers if source.repr_digest is None else headers | {"repr-digest": source.repr_digest}


def validators(source: Source) -> dict[str, str]:
    """What the next request may say to go on with these bytes."""
    return {
        "accept-ranges": "bytes",
        "etag": source.etag,
        "last-modified": formatdate(source.modified_seconds, usegmt=True),
    }


def without_body(scope: Mapping[str, Any], source: Source, decision: ranges.Decision) -> Response | None:
    """The answer to a request whose preconditions or ranges leave nothing to send, or None."""
    match decision:
        case ranges.NotModified():
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=NO_STORE | validators(source))
        case ranges.PreconditionFailed():
            return refusal(scope, HTTPStatus.PRECONDITION_FAILED, *_FAILED, NO_STORE | validators(source))
        case ranges.Unsatisfiable():
            headers = NO_STORE | validators(source) | {"content-range": ranges.content_range(decision)}
            return refusal(scope, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, *_UNSATISFIABLE, headers)
    return None
