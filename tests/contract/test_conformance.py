"""The running server answers as the document says, whatever it is asked; a longer run is `make test-large`."""

from collections.abc import Callable

import pytest

from carryout.settings import Settings
from tests.contract.conformance import check, operations
from tests.contract.scene import set_scene
from tests.world.program import Server

DOWNLOADS = {200, 204, 302, 402, 403, 404, 410}
# What must have been seen, or the run was not about the server.
SEEN = {
    "GET /api/v2/customer-account-orders": {200, 402, 404},
    "HEAD /api/v2/customer-account-orders": {200, 402, 404},
    "POST /webhooks/shopify": {200, 400, 401},
    "GET /d/{ticket}/{filename}": {302, 402, 403, 404, 410},
    "HEAD /d/{ticket}/{filename}": {200, 402, 403, 404, 410},
    "GET /f/{ticket}/{filename}": {200, 206, 304, 403, 404, 410, 416},
    "HEAD /f/{ticket}/{filename}": {200, 304, 403, 404, 410},
    "GET /o/{ticket}": {200, 404},
    "HEAD /o/{ticket}": {200, 404},
    "POST /o/{ticket}/all": {303, 403, 404},
    "POST /o/{ticket}/{grant}": {303, 402, 403, 404, 410},
    "GET /api/v1/assets": {200, 401},
    "POST /api/v1/assets/store": {200, 401, 422},
    "GET /api/v1/assets/{id}": {200, 401, 404},
    "PUT /api/v1/assets/{id}": {200, 401, 422},
    "GET /api/v1/assets/{id}/versions": {200, 401, 404},
    "GET /api/v1/products": {200, 401},
    "GET /api/v1/products/{id}": {200, 401, 404},
}


def run(settings: Settings, start_server: Callable[..., Server], examples: int) -> dict[str, set[int]]:
    scene = set_scene(settings)
    server = start_server(CARRYOUT_GUESS_LIMIT="0", CARRYOUT_API_RATE_LIMIT="0", CARRYOUT_LOG_LEVEL="warning")
    return {
        operation.label: check(operation, scene, server.base_url, examples if operation.label in SEEN else 8)
        for operation in operations()
    }


def test_replies_are_as_the_document_says(settings: Settings, start_server: Callable[..., Server]) -> None:
    seen = run(settings, start_server, 60)

    assert {label: seen[label] & wanted for label, wanted in SEEN.items()} == SEEN


@pytest.mark.large
def test_thousands_of_replies_are_as_the_document_says(settings: Settings, start_server: Callable[..., Server]) -> None:
    seen = run(settings, start_server, 600)

    assert {label: seen[label] & wanted for label, wanted in SEEN.items()} == SEEN
