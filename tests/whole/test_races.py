"""Many buyers at once on one grant: not one more than the limit."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.whole.shop import Reply, Shop, assets_of, deliver, download, order_body, token_of, view
from tests.world.program import Cli, Server


@pytest.fixture
def workers(start_server: Callable[..., Server], cli: Cli, tmp_path: Path) -> tuple[Shop, Server]:
    """The shop with an order, served by two processes."""
    shop = Shop(cli).open(tmp_path, download_limit="10")
    server = start_server("--workers", "2")
    assert deliver(server, "orders/paid", order_body(), "delivery 1").status == 200
    return shop, server


def _at_once(server: Server, url: str, count: int, in_parallel: int) -> list[Reply]:
    addresses = [f"127.7.{number // 250}.{number % 250 + 1}" for number in range(count)]
    with ThreadPoolExecutor(in_parallel) as pool:
        return list(pool.map(lambda address: download(server, url, address=address), addresses))


def _outcomes(replies: list[Reply]) -> Counter[tuple[int, str | None]]:
    return Counter((reply.status, reply.json["code"] if reply.status != 200 else None) for reply in replies)


@pytest.mark.parametrize("count", [100, pytest.param(500, marks=pytest.mark.large)])
def test_a_limit_of_ten_delivers_ten(workers: tuple[Shop, Server], count: int) -> None:
    shop, server = workers

    replies = _at_once(server, shop.link(server), count, in_parallel=count)

    assert _outcomes(replies) == {(200, None): 10, (403, "download_limit_reached"): count - 10}
    assert all(reply.body == shop.content for reply in replies if reply.status == 200)
    (asset,) = _limited(view(server, token_of(1)).json)
    assert asset["limits"] == {"downloaded": 10, "limit": 10}
    assert asset["data"]["url"] is None
    assert asset["refusal"]["code"] == "download_limit_reached"
    assert shop.grant()["used"] == 10


def _limited(document: object) -> list[dict[str, dict[str, object]]]:
    lines = document["order"]["lines"]  # type: ignore[index]  # JSON
    return [asset for line in lines for asset in line["assets"]]


def test_an_address_limit_of_two_lets_two_in(cli: Cli, start_server: Callable[..., Server], tmp_path: Path) -> None:
    shop = Shop(cli).open(tmp_path, address_limit="2")
    server = start_server("--workers", "2")
    deliver(server, "orders/paid", order_body(), "delivery 1")
    url = shop.link(server)

    replies = _at_once(server, url, 60, in_parallel=60)

    assert _outcomes(replies) == {(200, None): 2, (403, "ip_limit_reached"): 58}
    assert shop.grant()["used"] == 2
    inside = next(number for number, reply in enumerate(replies) if reply.status == 200)
    assert download(server, url, address=f"127.7.0.{inside + 1}").status == 200
    assert assets_of(view(server, token_of(1)).json)[0]["url"] == url
