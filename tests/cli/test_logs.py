import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from carryout.cli import logs
from carryout.web.edge import REQUEST_ID


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_record_is_a_json_line_with_the_request_id(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "info")
    reset = REQUEST_ID.set("abc")
    structlog.get_logger("carryout.x").info("asset attached", assets=3)
    REQUEST_ID.reset(reset)

    (line,) = lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "asset attached", "assets": 3, "level": "info", "request_id": "abc"}


def test_records_of_libraries_come_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "info")
    logging.getLogger("uvicorn.error").info("Waiting for application startup.")
    logging.getLogger("uvicorn.error").error("Cancel %s running task(s)", 2)
    logging.getLogger("alembic").warning("hm")

    assert [line["event"] for line in lines(capsys)] == ["Cancel 2 running task(s)", "hm"]


def test_the_level_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "warning")
    structlog.get_logger("carryout.y").info("quiet")
    structlog.get_logger("carryout.y").warning("loud")

    assert [line["event"] for line in lines(capsys)] == ["loud"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_secret_and_no_person_gets_through(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(log_format, "info")
    hidden = "AQAAAAEAAAAAAAAAAgAAAACYkmZsXo2mCSvhJ3pfqxJv"
    try:
        int(f"no order for {hidden} of anna@example.com at postgresql://me:hunter2@db/x")
    except ValueError:
        structlog.get_logger("carryout.z").exception(
            f"cannot reach 203.0.113.9 with Bearer {hidden}",
            order_token="hunter2",
            details={"smtp_password": "hunter2", "list": [hidden, "anna@example.com"]},
        )

    written = capsys.readouterr().err
    assert "ValueError" in written
    assert "test_logs.py" in written
    for secret in (hidden, "hunter2", "anna@", "203.0.113.9"):
        assert secret not in written


def test_what_names_things_is_left_readable() -> None:
    uid = "82664d96-6dfd-4343-96b0-05c46f412a5a"
    event = {"event": f"asset {uid} attached to gid://shopify/Order/6123456789012", "asset": uid, "ms": 1.5}

    assert logs.redact(None, "info", dict(event)) == event
