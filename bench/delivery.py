"""How fast files are delivered, beside nginx with `sendfile` and the customer endpoint, on SQLite and a folder."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import load
import orders as shop
import servers
from contenders import Carryout
from report import Figure
from stages import Bench

HERE = Path(__file__).parent
CONNECTIONS = 64
JOINED = 500
SLOW_BYTES_A_SECOND = 32 * 1024
_DOOR = "/d/"
_MIB = 1024 * 1024
_READY_SECONDS = 120
# As docs/delivery.md says; without `X-Forwarded-For`, since who downloads does not matter here.
_NGINX = """
        location /plain/ {{ alias {files}/; }}
        location / {{ proxy_pass http://127.0.0.1:{port}; proxy_http_version 1.1; proxy_set_header Connection ""; }}
        location /_carryout/ {{ internal; alias {files}/; }}
"""


def measure_delivery(bench: Bench) -> None:
    """The deciding door, a thousand slow downloads, then one large file."""
    carryout = Carryout(bench.folder / "delivery", bench.programs)
    began = time.monotonic()
    carryout.fill(bench.size.delivered_orders)
    links = carryout.stock()
    print(f"  filled Carryout for delivery in {time.monotonic() - began:.1f} s", flush=True)
    with carryout.serve() as running:
        _measure_slow(bench, running, links)
        _measure_deciding(bench, running, links)
    _measure_large(bench, carryout)


# ── deciding


def _measure_deciding(bench: Bench, running: servers.Running, links: Path) -> None:
    """Uses of distinct grants, each opened for the first time, and again and again of a few that are open."""
    lines = [line.removeprefix(_DOOR) for line in links.read_text().splitlines()]
    joined, fresh = bench.folder / "links-joined", bench.folder / "links-fresh"
    opened = bench.size.slow_downloads
    joined.write_text("\n".join(lines[:JOINED]) + "\n")
    fresh.write_text("\n".join(lines[opened:]) + "\n")
    contenders: dict[str, Callable[[], load.Round]] = {
        "customer endpoint": bench.ask(running, CONNECTIONS, bench.size.delivered_orders),
        "deciding, first time": _Fresh(bench, running, fresh, len(lines) - opened),
        "deciding, joined": partial(load.get, running.port, bench.size.seconds, CONNECTIONS, _DOOR, joined),
    }
    rates = bench.note_rates("deciding", load.in_turns("deciding", bench.size.rounds, contenders))
    share = rates["deciding, first time"] / rates["customer endpoint"]
    bench.report.add(Figure("deciding door / endpoint", share, " x", 0.5))
    bench.report.add(Figure("  joining / endpoint", rates["deciding, joined"] / rates["customer endpoint"], " x"))


class _Fresh:
    """Rounds over grants that nobody asked for yet."""

    def __init__(self, bench: Bench, running: servers.Running, links: Path, count: int) -> None:
        self._bench = bench
        self._running = running
        self._links = links
        self._left = count
        self._first = 0

    def __call__(self) -> load.Round:
        result = load.get(self._running.port, self._bench.size.seconds, CONNECTIONS, _DOOR, self._links, self._first)
        asked = int(result["requests"]) + CONNECTIONS  # the last ones were under way
        self._first += asked
        self._left -= asked
        if self._left < 0:
            raise servers.ServerFailed("there were not enough grants for every round to open each for the first time")
        return result


# ── many slow downloads


def _measure_slow(bench: Bench, running: servers.Running, links: Path) -> None:
    """Look-ups over one connection while nothing else goes on, and beside a thousand slow downloads, in turns."""
    look_up = bench.ask(running, 1, bench.size.delivered_orders)
    look_up()
    idle_mib = _private_and_mapped(running)
    alone: list[load.Round] = []
    beside: list[load.Round] = []
    peak_mib, kernel_mib = 0.0, 0.0
    for turn in range(bench.size.rounds):
        alone.append(look_up())
        with _slow_downloads(bench, running, links) as results:
            beside.append(look_up())
            peak_mib = max(peak_mib, _private_and_mapped(running))
            kernel_mib = max(kernel_mib, _kernel_mib())
        result = results[0]
        print(
            f"  slow {turn + 1}/{bench.size.rounds} look-up {alone[-1]['p50_us']:.0f} µs, then "
            f"{beside[-1]['p50_us']:.0f} µs; {load.rate(result):.1f} MiB/s",
            flush=True,
        )
        time.sleep(2)  # what was open is recorded
    few, many = load.median_p50(alone), load.median_p50(beside)
    bench.report.note(
        f"slow downloads: {bench.size.slow_downloads:,} at once took {load.rate(result):.0f} MiB/s; process "
        f"{idle_mib:.0f} MiB idle, {peak_mib:.0f} MiB; all sockets' buffers in the kernel {kernel_mib:.0f} MiB; "
        f"look-up {few:.0f} µs, then {many:.0f} µs; the reader was busy {result['generator_busy']:.0%} of the time"
    )
    name = f"{bench.size.slow_downloads:,} slow downloads"
    bench.report.add(Figure(f"memory for {name}", (peak_mib - idle_mib) * 1.048576, " MB", 150, is_ceiling=True))
    bench.report.add(Figure(f"look-up beside {name}", many / few, " x", 1.5, is_ceiling=True))


def _private_and_mapped(running: servers.Running) -> float:
    return sum(whole for whole, _ in running.resident_mib())


def _kernel_mib() -> float:
    """Memory of all TCP sockets of this machine (proc(5), `/proc/net/sockstat`)."""
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        if line.startswith("TCP:"):
            return int(line.rpartition(" mem ")[2]) * os.sysconf("SC_PAGESIZE") / _MIB
    return 0.0


@contextlib.contextmanager
def _slow_downloads(bench: Bench, running: servers.Running, links: Path) -> Iterator[list[load.Round]]:
    """Many slow downloads as long as the block lasts; what came of them is in the list afterwards."""
    command = [sys.executable, str(HERE / "downloads.py"), "slow", str(running.port), str(links)]
    command += [str(bench.size.slow_downloads), str(SLOW_BYTES_A_SECOND)]
    with subprocess.Popen(
        ["taskset", "-c", servers.LOAD_CORE, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout  # noqa: S101, PT018 - they are pipes
        results: list[load.Round] = []
        try:
            if process.stdout.readline() != "READY\n":
                raise servers.ServerFailed("the slow downloads could not be opened")
            yield results
            process.stdin.close()
            results.append(json.loads(process.stdout.readline().removeprefix("RESULT ")))
        finally:
            process.kill()
    if results[0]["errors"]:
        raise servers.ServerFailed(f"{results[0]['errors']:.0f} of the slow downloads broke")


# ── one large file


def _measure_large(bench: Bench, carryout: Carryout) -> None:
    """One file over one connection: nginx alone, Carryout alone, and nginx with Carryout behind it (`x-accel`)."""
    source = bench.folder / "large.bin"
    with source.open("wb") as file:
        for _ in range(bench.size.large_file_mib):
            file.write(os.urandom(_MIB))
    behind = Carryout(bench.folder / "delivery-behind", bench.programs)
    behind.fill(1)
    paths = [each.sell(source, shop.FIRST_ORDER_NUMBER) for each in (carryout, behind)]
    source.unlink()
    stored = [max(each.files.glob("*/*/*"), key=lambda path: path.stat().st_size) for each in (carryout, behind)]
    stored[1].unlink()
    stored[1].hardlink_to(stored[0])  # one file in the page cache
    plain = f"/plain/{stored[1].relative_to(behind.files)}"
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(carryout.serve())
        server = stack.enter_context(behind.serve(CARRYOUT_SENDFILE="x-accel"))
        proxy = stack.enter_context(
            servers.nginx(behind.files.parent, _NGINX.format(files=behind.files, port=server.port))
        )
        contenders = {
            "nginx, sendfile": partial(load.fetch, proxy.port, plain, bench.size.seconds),
            "Carryout": partial(load.fetch, ours.port, paths[0], bench.size.seconds),
            "Carryout, x-accel": partial(load.fetch, proxy.port, paths[1], bench.size.seconds),
        }
        rounds = load.in_turns("large file, MiB", bench.size.rounds, contenders)
    rates = bench.note_rates("large file", rounds, " MiB")
    busy = {name: max(each["generator_busy"] for each in results) for name, results in rounds.items()}
    said = ", ".join(f"{share:.0%} ({name})" for name, share in busy.items())
    bench.report.note(f"large file: the receiver was busy at most {said} of the time")
    bench.report.add(Figure("large file / nginx", rates["Carryout"] / rates["nginx, sendfile"], "", 0.7))
    accel = rates["Carryout, x-accel"] / rates["nginx, sendfile"]
    bench.report.add(Figure("large file, x-accel / nginx", accel, "", 0.95))
