import shlex
import subprocess
from collections.abc import Callable

import httpx

from tests.world.program import Cli, Server

PORT = "http://127.0.0.1:8000"


def test_the_demo_is_filled_once(cli: Cli) -> None:
    made = cli.ok("demo", "--json").json
    assert made["key"].startswith("co_")
    assert [order["order_number"] for order in made["orders"]] == [1053, 1071, 1065, 1234]
    assert {"order_number", "token", "api_url", "page_url"} == made["orders"][0].keys()
    again = cli.ok("demo", "--json").json
    assert again == {**made, "key": None}


def test_its_commands_work_as_printed(shop: Cli, server_of: Callable[[Cli], Server]) -> None:
    server = server_of(shop)
    commands = [line for line in shop.ok("demo").stdout.splitlines() if line.startswith("curl ")]
    assert len(commands) == 3
    answers = [_run(command.replace(PORT, server.base_url), shop) for command in commands]
    assert answers[0].startswith('{"order":{"order_number":1053,')
    assert (shop.folder / "Winter sounds.mp3").stat().st_size == 32109
    assert answers[2].startswith("HTTP/1.1 200 ")
    reply = httpx.get(f"{server.base_url}/api/v2/customer-account-orders?id=0c732eb6fd9802a0821a9d29888baee8").json()
    assert reply["order"]["order_number"] == 1072


def _run(command: str, shop: Cli) -> str:
    words = [*shlex.split(command), "--silent", "--noproxy", "*"]
    return subprocess.run(words, cwd=shop.folder, capture_output=True, text=True, check=True).stdout
