from pathlib import Path

import pytest
from starlette.requests import Request

from carryout.errors import DatabaseUnavailable
from carryout.web.metrics import Metrics, MetricsDoor
from tests.web.serving import scope


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def lines(metrics: Metrics) -> list[str]:
    return metrics.exposition().decode().splitlines()


def test_requests_are_counted_by_route_method_and_status(metrics: Metrics) -> None:
    metrics.count_request("/d/{ticket}", "GET", 403, 0.002)
    metrics.count_request("/d/{ticket}", "GET", 403, 0.2)

    assert 'carryout_requests_total{method="GET",route="/d/{ticket}",status="403"} 2.0' in lines(metrics)
    assert 'carryout_request_seconds_bucket{le="0.0025",route="/d/{ticket}"} 1.0' in lines(metrics)


def test_labels_from_outside_come_from_closed_sets(metrics: Metrics) -> None:
    metrics.count_request("unmatched", "PROPFIND", 405, 0.1)
    metrics.count_webhook("orders/paid", "applied")
    metrics.count_webhook("made/up", "ignored")

    assert 'carryout_requests_total{method="other",route="unmatched",status="405"} 1.0' in lines(metrics)
    assert 'carryout_webhooks_total{outcome="applied",topic="orders/paid"} 1.0' in lines(metrics)
    assert 'carryout_webhooks_total{outcome="ignored",topic="other"} 1.0' in lines(metrics)


def test_verdicts_are_counted_by_code(metrics: Metrics) -> None:
    metrics.count_verdict("expired")

    assert 'carryout_verdicts_total{code="expired"} 1.0' in lines(metrics)


def test_bytes_handed_to_the_network_are_added_up(metrics: Metrics) -> None:
    metrics.count_bytes(1000)
    metrics.count_bytes(24)
    assert "carryout_sent_bytes_total 1024.0" in lines(metrics)


async def test_the_door_asks_for_the_backlog_and_the_databases_time(metrics: Metrics) -> None:
    async def backlog() -> int:
        return 7

    response = await MetricsDoor(metrics, backlog, lambda: 1.5).show(Request(scope(path="/metrics")))

    shown = bytes(response.body).decode().splitlines()
    assert "carryout_inbox_backlog 7.0" in shown
    assert "carryout_database_seconds_total 1.5" in shown
    assert response.headers["content-type"].startswith("text/plain")


async def test_figures_are_shown_while_the_database_is_away(metrics: Metrics) -> None:
    async def backlog() -> int:
        raise DatabaseUnavailable

    response = await MetricsDoor(metrics, backlog, lambda: 0.0).show(Request(scope(path="/metrics")))

    assert response.status_code == 200


def test_a_file_that_a_worker_is_making_just_now_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "counter_4711.db").touch()

    assert Metrics(str(tmp_path)).exposition() == b""
