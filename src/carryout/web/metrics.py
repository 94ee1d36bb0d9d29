"""The operator's figures, in Prometheus' text format at `GET /metrics`.

With several workers each writes its figures to files in `metrics_dir`, and whichever is asked adds them up. (The
supervisor names that folder in `PROMETHEUS_MULTIPROC_DIR` before the worker starts: the library looks once, at import.)
"""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.requests import Request
from starlette.responses import Response

from carryout.errors import CarryoutError

OTHER: Final = "other"
TOPICS: Final = frozenset({
    "orders/create", "orders/paid", "orders/updated", "orders/edited", "orders/fulfilled", "orders/partially_fulfilled",
    "orders/cancelled", "orders/delete", "orders/risk_assessment_changed", "refunds/create",
    "products/create", "products/update", "products/delete", "app/uninstalled", "shop/update",
    "customers/redact", "shop/redact", "customers/data_request",
})  # fmt: skip

_TOGETHER: Final = 256
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0)


class Metrics:
    """The figures of one process. Labels come from closed sets, so nobody outside can make more of them."""

    def __init__(self, metrics_dir: str | None = None) -> None:
        self._metrics_dir = metrics_dir
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "carryout_requests", "Requests answered.", ["route", "method", "status"], registry=registry
        )
        self._seconds = Histogram(
            "carryout_request_seconds", "How long answers took.", ["route"], buckets=_BUCKETS, registry=registry
        )
        self._verdicts = Counter("carryout_verdicts", "Verdicts on grants, by code.", ["code"], registry=registry)
        self._webhooks = Counter("carryout_webhooks", "Webhooks taken in.", ["topic", "outcome"], registry=registry)
        self._bytes = Counter("carryout_sent_bytes", "Bytes of downloads handed to the network.", registry=registry)
        self._backlog = Gauge(
            "carryout_inbox_backlog", "Deliveries not applied yet.", registry=registry, multiprocess_mode="mostrecent"
        )
        self._database = Counter("carryout_database_seconds", "Time spent in the database.", registry=registry)
        self._database_seen = 0.0
        self._children: dict[tuple[str, str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}
        self._verdict_counts: dict[str, Callable[[], None]] = {}
        self._waiting: list[tuple[str, str, int, float]] = []
        if metrics_dir is None:
            ProcessCollector(registry=registry)

    def count_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """One answered request; `route` is the route's pattern, never the path.

        It waits to be counted with others, which costs a third; of several workers it may be seen seconds later.
        """
        self._waiting.append((route, method, status, seconds))
        if len(self._waiting) >= _TOGETHER:
            self._count_waiting()

    def _count_waiting(self) -> None:
        for route, method, status, seconds in self._waiting:
            children = self._children.get((route, method, status))
            if children is None:
                labels = (route, method if method in _METHODS else OTHER, str(status))
                children = self._requests.labels(*labels).inc, self._seconds.labels(route).observe
                if method in _METHODS:
                    self._children[route, method, status] = children
            children[0]()
            children[1](seconds)
        self._waiting.clear()

    def count_verdict(self, code: str) -> None:
        """One verdict at a door: `allowed`, or the refusal's code."""
        count = self._verdict_counts.get(code)
        if count is None:
            count = self._verdict_counts[code] = self._verdicts.labels(code).inc
        count()

    def count_bytes(self, size_bytes: int) -> None:
        """So much of downloads was handed to the network."""
        self._bytes.inc(size_bytes)

    def count_webhook(self, topic: str, outcome: str) -> None:
        """One delivery; a topic that we do not use counts as `other`."""
        self._webhooks.labels(topic if topic in TOPICS else OTHER, outcome).inc()

    def note_database(self, total_seconds: float) -> None:
        """The database's own running total (`Database.seconds`); also the beat at which requests are counted."""
        self._count_waiting()
        self._database.inc(max(0.0, total_seconds - self._database_seen))
        self._database_seen = total_seconds

    def set_backlog(self, deliveries: int) -> None:
        """How many deliveries wait in the inbox."""
        self._backlog.set(deliveries)

    def exposition(self) -> bytes:
        """All figures as text, of all workers where there are several."""
        self._count_waiting()
        if self._metrics_dir is None:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        _WorkersFigures(registry, path=self._metrics_dir)  # type: ignore[no-untyped-call]  # the library has no types here
        return generate_latest(registry)


class _WorkersFigures(MultiProcessCollector):
    """The figures that all workers have written."""

    def collect(self) -> Iterable[Metric]:
        """Add them up, but for the file that a worker is making just now: it is empty for a moment."""
        files = [str(file) for file in Path(self._path).glob("*.db") if file.stat().st_size]
        figures: Iterable[Metric] = self.merge(files)  # type: ignore[no-untyped-call]  # the library has no types here
        return figures


class MetricsDoor:
    """`GET /metrics`. `backlog` counts the inbox when asked; `database_seconds` is `Database.seconds`."""

    def __init__(
        self, metrics: Metrics, backlog: Callable[[], Awaitable[int]], database_seconds: Callable[[], float]
    ) -> None:
        self._metrics = metrics
        self._count_backlog = backlog
        self._database_seconds = database_seconds

    async def show(self, _request: Request) -> Response:
        """The figures; for the operator, without any name or address in them."""
        with suppress(CarryoutError):  # while the database is away, its other figures are needed most
            self._metrics.set_backlog(await self._count_backlog())
        self._metrics.note_database(self._database_seconds())
        return Response(
            self._metrics.exposition(), headers={"cache-control": "no-store"}, media_type=CONTENT_TYPE_PLAIN_0_0_4
        )
