"""Puts load on servers in turns, and keeps what came of each round."""

import itertools
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from servers import LOAD_CORE, ServerFailed

HERE = Path(__file__).parent
PATH = "/api/v2/customer-account-orders?id="
_turns = itertools.count(1)
Round = dict[str, float]
Rounds = dict[str, list[Round]]


def get(
    port: int, seconds: float, connections: int, path: str, tokens: Path | None = None, first: int | None = None
) -> Round:
    """One round of wrk: one thread, kept-alive connections. It begins at line `first`, or where no round began yet."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "30s", "-s", str(HERE / "cycle.lua")]
    command.append(f"http://127.0.0.1:{port}{path}")
    if tokens is not None:
        command += ["--", str(tokens), str(next(_turns) * 7919 if first is None else first)]
    return _result(command)


def deliver(port: int, seconds: float, connections: int, first: int) -> Round:
    """One round of signed webhooks, the first of which brings order number `first`."""
    parts = (port, first, seconds, connections)
    return _result([sys.executable, str(HERE / "webhooks.py"), *(str(part) for part in parts)])


def fetch(port: int, path: str, seconds: float) -> Round:
    """One round of whole downloads, one after the other; what it calls requests are MiB."""
    return _result([sys.executable, str(HERE / "downloads.py"), "fetch", str(port), path, str(seconds)])


def in_turns(label: str, rounds: int, contenders: Mapping[str, Callable[[], Round]]) -> Rounds:
    """A, B, C, A, B, C, …: what disturbs the machine disturbs all. The first turn warms up and does not count."""
    results: Rounds = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, run in contenders.items():
            result = run()
            if result["errors"]:
                raise ServerFailed(
                    f"{label}: {name} answered {result['errors']:.0f} of {result['requests']:.0f} wrongly"
                )
            if turn:
                results[name].append(result)
                print(
                    f"  {label} {turn}/{rounds} {name:<22} {rate(result):>9,.0f}/s  {result['p50_us'] / 1000:8.2f} ms",
                    flush=True,
                )
    return results


def rate(result: Round) -> float:
    """Requests a second."""
    return result["requests"] / result["seconds"]


def median_rate(results: list[Round]) -> float:
    """The median of the rounds' rates."""
    return statistics.median(rate(result) for result in results)


def median_p50(results: list[Round]) -> float:
    """The median of the rounds' median latencies, in microseconds."""
    return statistics.median(result["p50_us"] for result in results)


def _result(command: list[str]) -> Round:
    done = subprocess.run(["taskset", "-c", LOAD_CORE, *command], check=False, capture_output=True, text=True)
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            found: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
            return found
    raise ServerFailed(f"{command} gave no result:\n{done.stdout}{done.stderr}")
