"""The bytes handed over to nginx (X-Accel-Redirect) or to the object store: they send them, and nobody counts."""

import os
import shutil
import socket
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from carryout.catalog.model import Asset
from carryout.settings import Settings
from tests.downloads.fetching import pattern
from tests.downloads.market import Market
from tests.whole.shop import eventually
from tests.world.program import Cli, Server

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
CONTENT = pattern(300_000)
# As docs/delivery.md says it, and with what a test needs: no daemon, a port and a folder of its own.
_SITE = """
{user}
daemon off;
pid nginx.pid;
error_log error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path temp;
    proxy_temp_path temp;
    fastcgi_temp_path temp;
    uwsgi_temp_path temp;
    scgi_temp_path temp;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {server};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_buffering off;
        }}
{internal}
    }}
}}
"""


def internal_location(files: Path) -> str:
    """The location that our own documentation tells operators to write."""
    guide = Path("docs/delivery.md").read_text()
    found = guide[guide.index("location /_carryout/") :]
    return found[: found.index("}") + 1].replace("/var/lib/carryout/files/", f"{files}/")


@contextmanager
def nginx(server: Server, folder: Path, files: Path) -> Iterator[str]:
    """An nginx before a server; its address."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    user = "user root;" if os.geteuid() == 0 else ""
    site = _SITE.format(port=port, server=server.base_url, internal=internal_location(files), user=user)
    (folder / "nginx.conf").write_text(site)
    process = subprocess.Popen([program, "-p", folder, "-c", folder / "nginx.conf"], stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: _is_listening(port) or process.poll() is not None)
        assert process.poll() is None, (folder / "error.log").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def market(settings: Settings) -> Market:
    return Market(settings)


@pytest.fixture
def book(market: Market) -> Asset:
    return market.file(CONTENT, "Bücher.epub")


@pytest.fixture
def front(
    market: Market, start_server: Callable[..., Server], tmp_path: Path, data_dir: Path
) -> Iterator[httpx.Client]:
    """A client of the nginx before a server that hands over."""
    server = start_server(CARRYOUT_SENDFILE="x-accel", CARRYOUT_TRUSTED_PROXIES="127.0.0.1")
    assert market.store.id
    with nginx(server, tmp_path, data_dir / "files") as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client


def opened(front: httpx.Client, path: str) -> str:
    """The path of the sending door."""
    decided = front.get(path)
    assert decided.status_code == 302
    return httpx.URL(decided.headers["location"]).path


def test_nginx_sends_the_file_and_keeps_our_headers(market: Market, book: Asset, front: httpx.Client) -> None:
    sold = market.order(book, downloads=1)
    path = opened(front, sold.path)
    whole = front.get(path)
    assert (whole.status_code, whole.content) == (200, CONTENT)
    expected = {
        "content-type": "application/epub+zip",
        "cache-control": "private, no-store",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox",
        "referrer-policy": "no-referrer",
        "x-robots-tag": "noindex",
        "accept-ranges": "bytes",
        "repr-digest": f"sha-256=:{b64encode(sha256(CONTENT).digest()).decode()}:",
    }
    assert expected.items() <= dict(whole.headers).items()
    assert "B%C3%BCcher.epub" in whole.headers["content-disposition"]
    part = front.get(path, headers={"range": "bytes=1000-1999", "if-range": whole.headers["etag"]})
    assert (part.status_code, part.content) == (206, CONTENT[1000:2000])
    assert part.headers["repr-digest"] == expected["repr-digest"]
    assert front.head(path).headers["content-length"] == str(len(CONTENT))


def test_what_nobody_counts_keeps_its_use(market: Market, book: Asset, front: httpx.Client) -> None:
    sold = market.order(book, downloads=1)
    front.get(opened(front, sold.path), headers={"range": "bytes=0-9"})
    assert [part.sent_bytes for part in sold.parts] == [0]
    sold.settle()
    assert sold.used == [1]
    assert front.get(sold.path).json()["code"] == "download_limit_reached"


def test_a_stop_holds_for_what_is_handed_over(market: Market, book: Asset, front: httpx.Client, cli: Cli) -> None:
    sold = market.order(book)
    path = opened(front, sold.path)
    cli.ok("order", "block", "--store", market.store.domain, sold.order.uid)
    assert front.get(path).json()["code"] == "access_blocked"


def test_nobody_reaches_the_files_but_by_a_download(market: Market, book: Asset, front: httpx.Client) -> None:
    digest = market.order(book).grants[0].sha256
    assert digest is not None
    name = market.storage.object_name(market.store.uid, digest)
    assert front.get(f"/_carryout/{name}").status_code == 404


def test_a_zip_is_still_sent_by_us(market: Market, book: Asset, front: httpx.Client) -> None:
    sold = market.order(book, market.file(b"more", "more.txt"))
    answer = front.get(opened(front, sold.zip_path))
    assert (answer.status_code, answer.content[:2]) == (200, b"PK")
    eventually(lambda: all(part.completed_at is not None for part in sold.parts))


# ── the object store

on_s3 = pytest.mark.parametrize("storage_url", ["swift"], indirect=True)


def set_delivery(cli: Cli, market: Market, delivery: str) -> None:
    cli.ok("store", "set", market.store.domain, f"delivery={delivery}")


@on_s3
def test_a_store_that_wants_it_sends_its_buyers_to_the_object_store(market: Market, server: Server, cli: Cli) -> None:
    set_delivery(cli, market, "redirect")
    sold = market.order(market.file(CONTENT, "Bücher.epub"), downloads=1)
    with httpx.Client(base_url=server.base_url, trust_env=False) as client:
        path = opened(client, sold.path)
        head = client.head(path)
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(CONTENT)))
        for _ in range(2):  # a resume comes back for an address of its own
            led_on = client.get(path)
            assert (led_on.status_code, led_on.headers["cache-control"]) == (302, "private, no-store")
            assert led_on.headers["referrer-policy"] == "no-referrer"
            sent = httpx.get(led_on.headers["location"], headers={"range": "bytes=1000-1999"}, trust_env=False)
            assert (sent.status_code, sent.content) == (206, CONTENT[1000:2000])
        assert sent.headers["content-type"] == "application/epub+zip"
        assert sent.headers["content-disposition"].startswith("attachment; ")
        lives = parse_qs(urlsplit(led_on.headers["location"]).query)["X-Amz-Expires"]
        assert 0 < int(lives[0]) <= 60
        cli.ok("order", "block", "--store", market.store.domain, sold.order.uid)
        assert client.get(path).json()["code"] == "access_blocked"
    sold.settle()
    assert sold.used == [1]


@on_s3
def test_else_the_bytes_of_the_object_store_go_through_us(market: Market, server: Server, cli: Cli) -> None:
    set_delivery(cli, market, "proxy")
    sold = market.order(market.file(CONTENT, "Bücher.epub"))
    with httpx.Client(base_url=server.base_url, trust_env=False) as client:
        assert client.get(opened(client, sold.path)).content == CONTENT
    eventually(lambda: [part.sent_bytes for part in sold.parts] == [len(CONTENT)])


def test_on_a_disk_a_redirect_leads_nowhere(market: Market, book: Asset, server: Server, cli: Cli) -> None:
    set_delivery(cli, market, "redirect")
    sold = market.order(book)
    with httpx.Client(base_url=server.base_url, trust_env=False) as client:
        assert client.get(opened(client, sold.path)).content == CONTENT
