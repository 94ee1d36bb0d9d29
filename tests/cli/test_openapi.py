import json

import pytest

from carryout.cli.program import run


def test_the_document_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["openapi"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["openapi"].startswith("3.1")
    assert "/api/v2/customer-account-orders" in document["paths"]
