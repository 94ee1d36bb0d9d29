"""Assembles the house: settings, then database, storage and keys, then the rooms' doors, then the application."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from carryout import __version__
from carryout.catalog import tasks as catalog_tasks
from carryout.catalog.api import CatalogDoor
from carryout.clock import Clock
from carryout.clock import now as read_clock
from carryout.db import Database, Tx, is_embedded, open_database
from carryout.downloads.stream import STATUS, DecidingDoor, Entrance, Handover, SendingDoor
from carryout.downloads.transfers import Transfers
from carryout.entitlements import service as entitlements
from carryout.entitlements.tasks import EntitlementTasks
from carryout.errors import CarryoutError
from carryout.evidence import service as evidence
from carryout.evidence import tasks as evidence_tasks
from carryout.jobs import queue
from carryout.jobs.runner import JobFunction, Worker
from carryout.keyring import Keyring
from carryout.merchants import tasks as merchant_tasks
from carryout.merchants.gate import Gate
from carryout.sessions import service as sessions
from carryout.sessions import tasks as session_tasks
from carryout.settings import Settings, secret_keys
from carryout.shopify import service as shopify
from carryout.shopify import tasks as shopify_tasks
from carryout.shopify.intake import Intake
from carryout.shopify.webhooks import BODY_LIMIT_BYTES, WebhookDoor
from carryout.storage import DiskStorage, Storage, open_storage
from carryout.storefront.api import PATH as CUSTOMER_PATH
from carryout.storefront.api import CustomerDoor
from carryout.storefront.pages import PageDoor
from carryout.tickets import Links, Tickets
from carryout.web.access_log import open_access_log
from carryout.web.contract import ContractDoor
from carryout.web.edge import Edge
from carryout.web.guessing import GuessLimit
from carryout.web.health import HealthDoor
from carryout.web.metrics import Metrics, MetricsDoor
from carryout.web.routes import NO_BODY, DeclaredRoute, Head, RateLimit, Who, route, share_paths

PRUNE_JOBS: Final = "prune_jobs"
_DAY_SECONDS: Final = 24 * 3600
_NOTE_SECONDS: Final = 5
_FLUSH_SECONDS: Final = 30


@dataclass(frozen=True)
class House:
    """What every part works with; the command line opens it too."""

    settings: Settings
    keyring: Keyring
    database: Database
    storage: Storage
    now: Clock = read_clock

    @property
    def intake(self) -> Intake:
        """Where deliveries come in."""
        return Intake(self.database, self.keyring, self.settings.data_dir, self.now)


def open_house(settings: Settings, keyring: Keyring | None = None) -> House:
    """Open database and storage; an embedded database must have been migrated before."""
    return House(
        settings,
        keyring or Keyring(secret_keys(settings)),
        open_database(settings.database_url),
        open_storage(settings.storage_url, settings.aws, settings.data_dir),
    )


def make_worker(house: House) -> Worker:
    """The job loop of one process."""
    owner = f"{socket.gethostname()} {os.getpid()}"
    return Worker(house.database, job_handlers(house), house.now, owner, _schedule())


def job_handlers(house: House) -> Mapping[str, JobFunction]:
    """Who does which kind of job."""
    entitled = EntitlementTasks(house.database, house.now)
    inbox = shopify_tasks.ShopifyTasks(house.database, house.intake, house.storage, house.now)
    recorded = evidence_tasks.EvidenceTasks(house.database, house.keyring, house.now)
    opened = session_tasks.SessionTasks(house.database, house.now)
    called = merchant_tasks.MerchantTasks(house.database, house.now)

    collecting = catalog_tasks.CollectionTasks(house.database, house.storage, house.now, [sessions.list_pinned])

    async def prune_jobs(_job: object) -> None:
        await house.database.write(queue.prune_finished, house.now())

    return {
        entitlements.REACH_ORDERS: entitled.reach_orders,
        entitlements.APPLY_SETTINGS: entitled.apply_settings,
        shopify_tasks.RETRY_INBOX: inbox.retry_inbox,
        shopify_tasks.PRUNE_INBOX: inbox.prune_inbox,
        shopify.SCRUB: inbox.scrub,
        shopify.DELETE_STORE_FILES: inbox.delete_store_files,
        evidence.CHAIN_EVENTS: recorded.chain_events,
        evidence_tasks.PRUNE_EVENTS: recorded.prune_events,
        catalog_tasks.COLLECT_BLOBS: collecting.collect_blobs,
        session_tasks.SETTLE_SESSIONS: opened.settle_sessions,
        session_tasks.PRUNE_SESSIONS: opened.prune_sessions,
        merchant_tasks.PRUNE_CALLS: called.prune_calls,
        PRUNE_JOBS: prune_jobs,
    }


def _schedule() -> dict[str, int]:
    return {
        **shopify_tasks.SCHEDULE,
        **evidence_tasks.SCHEDULE,
        **catalog_tasks.SCHEDULE,
        **session_tasks.SCHEDULE,
        **merchant_tasks.SCHEDULE,
        PRUNE_JOBS: _DAY_SECONDS,
    }


def build(
    settings: Settings, base_url: str, keyring: Keyring, *, run_jobs: bool, metrics_dir: str | None = None
) -> ASGIApp:
    """The application of one server process, with its lifespan."""
    house = open_house(settings, keyring)
    metrics = Metrics(metrics_dir)
    # Asked most, and answered before the router.
    transfers = Transfers(house.database, house.now, metrics.count_bytes)
    gate = make_gate(house, base_url)
    customer, *others = routes(house, base_url, metrics, transfers, gate)

    @contextlib.asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        async with _living(house, metrics, transfers, gate, run_jobs=run_jobs):
            yield

    router = Router(others, redirect_slashes=False, lifespan=lifespan)

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        is_customer = scope["type"] == "http" and scope["path"] == CUSTOMER_PATH
        await (customer.app if is_customer else router)(scope, receive, send)

    # An embedded database is read without waiting.
    prompt_paths = frozenset({CUSTOMER_PATH} if is_embedded(settings.database_url) else ())
    return Edge(front, metrics, open_access_log(settings.log_format, settings.log_level), prompt_paths)


def make_gate(house: House, base_url: str) -> Gate:
    """The gate of the merchant API."""
    return Gate(house.database, house.keyring, house.now, house.settings.api_rate_limit, base_url)


def routes(house: House, base_url: str, metrics: Metrics, transfers: Transfers, gate: Gate) -> list[DeclaredRoute]:
    """Every route there is, the customer endpoint first; what is not here is a 404."""
    guesses = GuessLimit(house.settings.guess_limit)
    table = [
        _customer_route(house, base_url, guesses),
        _webhook_route(house, metrics),
        *_download_routes(house, base_url, metrics, guesses, transfers),
        *_page_routes(house, base_url, guesses),
        *_merchant_routes(house, gate),
        *_operator_routes(house, metrics),
    ]
    share_paths(table)
    return table


def _merchant_routes(house: House, gate: Gate) -> list[DeclaredRoute]:
    """The merchant API: each room's doors behind the one gate."""
    return [
        *CatalogDoor(house.database).routes(gate),
    ]


def _customer_route(house: House, base_url: str, guesses: GuessLimit) -> DeclaredRoute:
    door = CustomerDoor(
        house.database,
        Links(Tickets(house.keyring), base_url),
        house.now,
        frozenset(name for name, plan in house.settings.plans.items() if plan.customer_account_links),
        guesses,
        house.settings.trusted_proxies,
    )
    return route(
        CUSTOMER_PATH,
        door,
        methods=["GET", "OPTIONS"],
        who=Who.TOKEN_HOLDER,
        limit=RateLimit.MISSES,
        body_limit_bytes=NO_BODY,
        head=Head.LIKE_GET,
    )


def _webhook_route(house: House, metrics: Metrics) -> DeclaredRoute:
    door = WebhookDoor(
        house.database,
        house.keyring,
        house.intake,
        house.settings.shopify_client_secret,
        house.now,
        metrics.count_webhook,
    )
    return route(
        "/webhooks/shopify",
        door.receive,
        methods=["POST"],
        who=Who.SIGNER,
        limit=RateLimit.NOTHING,
        body_limit_bytes=BODY_LIMIT_BYTES,
        head=Head.REFUSED,
    )


def _download_routes(
    house: House, base_url: str, metrics: Metrics, guesses: GuessLimit, transfers: Transfers
) -> list[DeclaredRoute]:
    tickets = Tickets(house.keyring)
    entrance = Entrance(tickets, house.keyring, guesses, house.settings.trusted_proxies)
    links, handover = Links(tickets, base_url), _handover(house)
    ours = (house.database, house.storage, entrance, links, house.now, handover)
    doors = {
        "/d/{ticket}/{filename}": DecidingDoor(*ours, metrics.count_verdict).download,
        "/f/{ticket}/{filename}": SendingDoor(*ours, transfers, metrics.count_verdict).send,
    }
    return [
        route(
            path,
            door,
            methods=["GET"],
            who=Who.TICKET_HOLDER,
            limit=RateLimit.MISSES,
            body_limit_bytes=NO_BODY,
            head=Head.SPENDS_NOTHING,
        )
        for path, door in doors.items()
    ]


def _handover(house: House) -> Handover:
    if not isinstance(house.storage, DiskStorage):
        return Handover.OBJECT_STORE
    return Handover.PROXY if house.settings.sendfile == "x-accel" else Handover.NOBODY


def _page_routes(house: House, base_url: str, guesses: GuessLimit) -> list[DeclaredRoute]:
    tickets = Tickets(house.keyring)
    door = PageDoor(
        house.database,
        house.storage,
        tickets,
        Links(tickets, base_url),
        house.keyring,
        house.now,
        guesses,
        house.settings.trusted_proxies,
        STATUS,
    )
    return door.routes()


def _operator_routes(house: House, metrics: Metrics) -> list[DeclaredRoute]:
    health = HealthDoor(house.database.is_answering, house.storage.is_answering)
    contract = ContractDoor()
    figures = MetricsDoor(metrics, lambda: house.database.read(shopify.count_parked), lambda: house.database.seconds)
    doors = {
        "/healthz": health.alive,
        "/readyz": health.ready,
        "/metrics": figures.show,
        "/openapi.json": contract.document,
        "/docs": contract.page,
    }
    return [
        route(
            path,
            door,
            methods=["GET"],
            who=Who.ANYONE,
            limit=RateLimit.NOTHING,
            body_limit_bytes=NO_BODY,
            head=Head.LIKE_GET,
        )
        for path, door in doors.items()
    ]


@contextlib.asynccontextmanager
async def _living(
    house: House, metrics: Metrics, transfers: Transfers, gate: Gate, *, run_jobs: bool
) -> AsyncIterator[None]:
    """From the first request to the last: jobs run beside, and end before the database closes."""
    worker = make_worker(house) if run_jobs else None
    if worker is not None:
        await house.database.write(_retry_after_upgrade, house.now())
    async with asyncio.TaskGroup() as group:
        beats = [
            group.create_task(_note_database(house.database, metrics)),
            group.create_task(_flush_gate(gate)),
        ]
        if worker is not None:
            group.create_task(worker.run())
        yield
        for beat in beats:
            beat.cancel()
        if worker is not None:
            worker.stop()
    await transfers.close()
    await gate.flush()
    await house.database.close()


async def _note_database(database: Database, metrics: Metrics) -> None:
    while True:
        metrics.note_database(database.seconds)
        await asyncio.sleep(_NOTE_SECONDS)


async def _flush_gate(gate: Gate) -> None:
    while True:
        await asyncio.sleep(_FLUSH_SECONDS)
        with contextlib.suppress(CarryoutError):  # the database is busy or away: keys were used all the same
            await gate.flush()


async def _retry_after_upgrade(tx: Tx, now: int) -> None:
    """What an older version could not apply, this one may."""
    key = f"{shopify_tasks.RETRY_INBOX} {__version__}"
    await queue.enqueue(tx, shopify_tasks.RETRY_INBOX, {}, run_at=now, dedupe_key=key)
