"""What is personal or opens something is in no log and in no file in plain; what is redacted stays so."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.cast import BEA, MIRA, STRANGER
from tests.conftest import SECRET
from tests.whole.shop import (
    ORDER,
    Shop,
    deliver,
    download,
    eventually,
    forged_ticket,
    order_body,
    send,
    token_of,
    view,
    wrong_ticket,
)
from tests.world.program import Cli, Server

NAMES = (BEA.email, "Beatrix", "Buyerson")


def _play(shop: Shop, server: Server) -> list[str]:
    """A day in the shop; every secret and personal word of it."""
    assert deliver(server, "orders/paid", order_body(), "delivery 1").status == 200
    assert deliver(server, "orders/paid", order_body(), "delivery 2", secret="a guessed secret").status == 401
    odd = order_body(2, line_items="odd", customer=[{"first_name": "Beatrix"}], email=BEA.email)
    assert deliver(server, "orders/updated", odd, "delivery 3").status == 200
    url = shop.link(server)
    assert download(server, url).status == 200
    assert download(server, url, address=STRANGER.address).status == 403
    assert view(server, token_of(1), address=BEA.address).status == 200
    tickets = [url.split("/")[-2], forged_ticket(), wrong_ticket()]
    for ticket in tickets[1:]:
        assert send(server, "GET", f"/d/{ticket}/x", address=STRANGER.address).status == 404
    key = shop.cli.ok("key", "create", "--store", MIRA.domain, "--json").json["key"]
    send(server, "GET", "/api/v1/products", headers={"Authorization": f"Bearer {key}"})
    send(server, "GET", f"/api/v2/customer-account-orders?id={token_of(1)}%00", address=STRANGER.address)
    return [
        *NAMES, token_of(1), token_of(2), *tickets, key, SECRET, MIRA.webhook_secret, BEA.address, STRANGER.address,
    ]  # fmt: skip


def _on_disk(data_dir: Path) -> bytes:
    return b"".join(
        file.read_bytes() for file in data_dir.rglob("*") if file.is_file() and "serve.lock" not in file.name
    )


@pytest.mark.parametrize("level", ["info", "debug"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_log_and_no_file_holds_what_is_secret_or_personal(
    cli: Cli, start_server: Callable[..., Server], tmp_path: Path, data_dir: Path, level: str
) -> None:
    shop = Shop(cli).open(tmp_path, download_limit="1")
    server = start_server(CARRYOUT_LOG_LEVEL=level)
    words = _play(shop, server)
    while_running = _on_disk(data_dir)
    assert server.stop() == 0

    assert [word for word in words if word in server.log] == []
    assert [word for word in words if word.encode() in while_running + _on_disk(data_dir)] == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_no_log_holds_what_is_secret_or_personal_on_a_database_server(
    cli: Cli, start_server: Callable[..., Server], tmp_path: Path
) -> None:
    shop = Shop(cli).open(tmp_path, download_limit="1")
    server = start_server("--workers", "2")
    words = _play(shop, server)
    server.stop()

    assert [word for word in words if word in server.log] == []


REDACTION = {
    "shop_id": 1,
    "shop_domain": MIRA.domain,
    "customer": {"id": 191_167, "email": BEA.email, "phone": "555"},
    "orders_to_redact": [ORDER + 1],
}


def _rows(data_dir: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(data_dir / "carryout.db")) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_was_redacted_is_gone_and_stays_gone(
    cli: Cli, start_server: Callable[..., Server], tmp_path: Path, data_dir: Path
) -> None:
    shop = Shop(cli).open(tmp_path)
    server = start_server()
    deliver(server, "orders/paid", order_body(), "delivery 1")
    (sealed,), (person,) = (
        _rows(data_dir, "SELECT body FROM inbox WHERE delivery_id = 'delivery 1'")[0],
        _rows(data_dir, "SELECT person FROM orders")[0],
    )
    assert isinstance(sealed, bytes)
    assert isinstance(person, bytes)
    assert sealed in _on_disk(data_dir)

    assert deliver(server, "customers/redact", REDACTION, "delivery 2").status == 200
    deliver(server, "orders/paid", order_body(), "delivery 1")
    deliver(server, "orders/updated", order_body(updated_at="2026-11-21T08:00:01Z"), "delivery 3")

    def is_scrubbed() -> bool:
        waiting = _rows(data_dir, "SELECT count(*) FROM jobs WHERE kind = 'scrub' AND outcome IS NULL")
        return waiting == [(0,)] and sealed[-40:] not in _on_disk(data_dir) and person[-16:] not in _on_disk(data_dir)

    eventually(is_scrubbed)
    assert [
        body
        for (body,) in _rows(data_dir, "SELECT body FROM inbox WHERE topic NOT LIKE 'products%'")
        if body is not None
    ] == []
    assert _rows(data_dir, "SELECT person, email_digest, customer_digest FROM orders") == [(None, None, None)]
    assert view(server, token_of(1)).json["order"]["order_number"] == 1001
    assert download(server, shop.link(server)).body == shop.content
    server.stop()
    assert [name for name in NAMES if name.encode() in _on_disk(data_dir) or name in server.log] == []
