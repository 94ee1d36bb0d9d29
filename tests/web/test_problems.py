import json

import pytest
from starlette.exceptions import HTTPException
from starlette.responses import Response

from carryout.errors import CarryoutError, DatabaseBusy, Kind
from carryout.web.problems import STATUS, BodyTooLarge, http_problem, problem, refusal
from tests.web.serving import scope

BROWSER = [(b"accept", b"text/html,application/xhtml+xml,*/*;q=0.8")]


class ShopAsleep(CarryoutError):
    """The shop {name} is asleep."""

    kind = Kind.GONE


class DiskMissing(CarryoutError):
    """The disk {path} is missing."""

    kind = Kind.MISCONFIGURED


def body(response: Response) -> object:
    return json.loads(bytes(response.body))


def test_every_kind_has_a_status() -> None:
    assert set(STATUS) == set(Kind)


def test_an_error_is_its_sentence_and_its_code() -> None:
    response = problem(scope(path="/api/v1/assets"), ShopAsleep(name="A"))

    assert response.status_code == 410
    assert body(response) == {"message": "The shop A is asleep.", "code": "shop_asleep"}
    assert response.headers["cache-control"] == "no-store"
    assert "retry-after" not in response.headers


def test_what_passes_says_when_to_come_back() -> None:
    response = problem(scope(), DatabaseBusy())

    assert (response.status_code, response.headers["retry-after"]) == (503, "5")


def test_the_operators_mistakes_are_not_told_to_visitors() -> None:
    assert body(problem(scope(), DiskMissing(path="/srv"))) == {"message": "Internal error", "code": "internal_error"}


def test_the_routers_refusals_keep_their_headers() -> None:
    response = http_problem(scope(), HTTPException(405, headers={"Allow": "GET"}))

    assert (response.status_code, response.headers["allow"]) == (405, "GET")
    assert body(response) == {
        "message": "This address does not answer to this method.",
        "code": "method_not_allowed",
    }


@pytest.mark.parametrize("path", ["/o/x", "/dashboard", "/dashboard/login"])
def test_pages_have_error_pages(path: str) -> None:
    response = refusal(scope(path=path), 404, "Not <here>", "not_found")

    assert response.media_type == "text/html"
    assert b"Not &lt;here&gt;" in bytes(response.body)
    assert "default-src 'none'" in response.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/d/x/y", "/f/x/y"])
def test_download_doors_answer_browsers_with_a_page_and_programs_with_json(path: str) -> None:
    assert refusal(scope(path=path, headers=BROWSER), 404, "No.", "no").media_type == "text/html"
    assert refusal(scope(path=path), 404, "No.", "no").media_type == "application/json"


def test_an_api_answers_a_browser_with_json() -> None:
    response = refusal(scope(path="/api/v2/x", headers=BROWSER), 404, "No.", "no")

    assert response.media_type == "application/json"


def test_a_large_body_is_413() -> None:
    assert problem(scope(), BodyTooLarge(limit_bytes=5)).status_code == 413
