import os
import signal
import subprocess
import sys
from collections.abc import Callable

import httpx

from tests.cli.conftest import STORE
from tests.world.program import Cli, Server


def test_an_order_is_blocked_under_a_running_server(shop: Cli, server_of: Callable[[Cli], Server]) -> None:
    server = server_of(shop)
    shown = shop.ok("order", "block", "1053", *STORE, "--json").json
    path = shown["grants"][0]["url"].removeprefix("http://127.0.0.1:8000")
    assert httpx.get(server.base_url + path).json()["code"] == "access_blocked"
    assert server.stop() == 0


def test_a_worker_does_what_waits_and_stops_when_asked(shop: Cli) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "carryout", "worker"],
        env=shop.environment,
        cwd=shop.folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    with worker:
        assert worker.stderr is not None
        assert worker.stderr.readline() == "Carryout is running jobs\n"
        while shop.ok("jobs", "list", "--json").json[-1]["kind"] == "reach_orders":
            os.sched_yield()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
