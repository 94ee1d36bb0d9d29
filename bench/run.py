"""Measures Carryout against nginx and a typical implementation, in one run: `python bench/run.py [--quick]`.

What is measured, how, and how to read it: `bench/README.md`. `bench/run.sh` brings what this needs.
"""

import argparse
import contextlib
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import load
import orders as shop
import servers
from contenders import Carryout, Typical
from delivery import measure_delivery
from report import Figure, Report
from stages import CONNECTIONS, FULL, QUICK, Bench
from webhooks import webhook_token

HERE = Path(__file__).parent
MEMORY_REQUESTS = 100_000
FIRST_DELIVERY = 20_000_000


def main() -> int:
    """Run the stages that were asked for; 1 when a full run misses a target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="a smoke run: 1,000 orders, rounds of a second")
    parser.add_argument(
        "--only", choices=tuple(STAGES), action="append", help="leave the other stages out (may be repeated)"
    )
    parser.add_argument(
        "--carryout", type=Path, default=HERE.parent / ".venv/bin", help="the folder of Carryout's programs"
    )
    parser.add_argument("--output", type=Path, default=HERE / "results", help="where the result is written")
    parser.add_argument("--folder", type=Path, help="where databases are made (a real disk; default: the system's)")
    options = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="carryout-bench-", dir=options.folder) as made:
        folder = Path(made)
        folder.chmod(0o755)  # nginx's worker and PostgreSQL run as others
        bench = Bench(folder, options.carryout.absolute(), QUICK if options.quick else FULL, report)
        report.note(f"one sync of 4 KiB takes {_sync_seconds(folder) * 1000:.2f} ms; {os.cpu_count()} cores")
        for stage in options.only or STAGES:
            STAGES[stage](bench)
    report.write(options.output)
    print(f"\n{report.text()}\nWritten to {options.output}/result.svg, .txt and .json")
    return 0 if options.quick or all(figure.is_met for figure in report.figures) else 1


def measure_sqlite(bench: Bench) -> None:
    """The endpoint against nginx and the typical implementation, then memory, then webhooks."""
    carryout = Carryout(bench.folder / "sqlite-carryout", bench.programs)
    typical = Typical(bench.folder / "sqlite-typical")
    _fill(bench.size.orders, {"Carryout on SQLite": carryout.fill, "typical on SQLite": typical.fill})
    with contextlib.ExitStack() as stack:
        ours, theirs = stack.enter_context(carryout.serve()), stack.enter_context(typical.serve())
        joined = stack.enter_context(typical.serve(is_joined=True))
        reply = _compare_replies(bench, ours, theirs)
        (bench.folder / "static").mkdir()
        (bench.folder / "static/reply.json").write_bytes(reply)
        static = stack.enter_context(servers.nginx(bench.folder, f"root {bench.folder}/static;"))
        contenders: dict[str, Callable[[], load.Round]] = {
            "nginx, static file": partial(load.get, static.port, bench.size.seconds, CONNECTIONS, "/reply.json"),
            "Carryout": bench.ask(ours),
            "typical": bench.ask(theirs),
            "typical, joined": bench.ask(joined),
        }
        rounds = load.in_turns("SQLite", bench.size.rounds, contenders)
        rates = bench.note_rates("SQLite", rounds)
        bench.report.add(Figure("endpoint / nginx static", rates["Carryout"] / rates["nginx, static file"], "", 0.07))
        bench.report.add(Figure("endpoint / typical, SQLite", rates["Carryout"] / rates["typical"], " x", 25))
        bench.report.add(Figure("  typical with joins", rates["Carryout"] / rates["typical, joined"], " x"))
        _measure_memory(bench, ours, sum(each["requests"] for each in rounds["Carryout"]))
        _measure_ingest(bench, ours, theirs)


def _measure_memory(bench: Bench, ours: servers.Running, asked: float) -> None:
    while asked < MEMORY_REQUESTS and bench.size is FULL:
        asked += bench.ask(ours)()["requests"]
    whole, private = max(ours.resident_mib())
    bench.report.note(
        f"memory after {asked:,.0f} requests: {whole:.0f} MiB resident, of which {private:.0f} MiB not mapped files"
    )
    bench.report.add(Figure("memory of the largest process", whole * 1.048576, " MB", 120, is_ceiling=True))


def _measure_ingest(bench: Bench, ours: servers.Running, theirs: servers.Running) -> None:
    firsts = {name: itertools.count(FIRST_DELIVERY, 1_000_000) for name in ("Carryout", "typical")}

    def deliver(name: str, running: servers.Running) -> load.Round:
        return load.deliver(running.port, bench.size.seconds, CONNECTIONS, next(firsts[name]))

    contenders = {"Carryout": partial(deliver, "Carryout", ours), "typical": partial(deliver, "typical", theirs)}
    rounds = load.in_turns("webhooks", bench.size.rounds, contenders)
    rates = bench.note_rates("webhooks", rounds)
    busy = max(each["generator_busy"] for each in rounds["Carryout"])
    bench.report.note(f"webhooks: the generator was busy {busy:.0%} of the time at most")
    _check_delivered(ours, theirs)
    bench.report.add(Figure("webhook ingest / typical", rates["Carryout"] / rates["typical"], " x", 5))


def measure_postgresql(bench: Bench) -> None:
    """The endpoint of both on one PostgreSQL server."""
    programs = servers.postgresql_programs()
    if programs is None:
        bench.report.note("PostgreSQL was left out: no initdb on this machine (Debian: apt-get install postgresql)")
        return
    with servers.postgresql(bench.folder, programs) as address, contextlib.ExitStack() as stack:
        carryout = Carryout(bench.folder / "server-carryout", bench.programs, f"postgresql://{address}/carryout")
        typical = Typical(bench.folder / "server-typical", f"postgresql+asyncpg://{address}/typical")
        _fill(bench.size.orders, {"Carryout on PostgreSQL": carryout.fill, "typical on PostgreSQL": typical.fill})
        ours, theirs = stack.enter_context(carryout.serve()), stack.enter_context(typical.serve())
        joined = stack.enter_context(typical.serve(is_joined=True))
        _compare_replies(bench, ours, theirs)
        contenders = {"Carryout": bench.ask(ours), "typical": bench.ask(theirs), "typical, joined": bench.ask(joined)}
        rates = bench.note_rates("PostgreSQL", load.in_turns("PostgreSQL", bench.size.rounds, contenders))
        bench.report.add(Figure("endpoint / typical, PostgreSQL", rates["Carryout"] / rates["typical"], " x", 6))
        bench.report.add(Figure("  typical with joins", rates["Carryout"] / rates["typical, joined"], " x"))


def measure_latency(bench: Bench) -> None:
    """One connection, asking for random orders of few and of many."""
    with contextlib.ExitStack() as stack:
        contenders = {}
        for count in (bench.size.few_orders, bench.size.many_orders):
            carryout = Carryout(bench.folder / f"latency-{count}", bench.programs)
            _fill(count, {f"Carryout with {count:,} orders": carryout.fill})
            contenders[f"{count:,} orders"] = bench.ask(stack.enter_context(carryout.serve()), 1, count)
        rounds = load.in_turns("latency", bench.size.rounds, contenders)
        few, many = (load.median_p50(each) for each in rounds.values())
        for name, p50 in zip(rounds, (few, many), strict=True):
            bench.report.note(f"latency of one connection, {name}: median {p50:.0f} µs")
        name = f"median latency, {bench.size.many_orders:,} / {bench.size.few_orders:,}"
        bench.report.add(Figure(name, many / few, " x", 1.3, is_ceiling=True))


def _fill(count: int, fills: dict[str, Callable[[int], None]]) -> None:
    for name, fill in fills.items():
        started = time.monotonic()
        fill(count)
        print(f"  filled {name}: {count:,} orders in {time.monotonic() - started:.1f} s", flush=True)


def _compare_replies(bench: Bench, ours: servers.Running, theirs: servers.Running) -> bytes:
    """Both must answer the same orders in the same shape; returns one of Carryout's replies."""
    sizes: list[tuple[int, int]] = []
    reply = b""
    for token in itertools.islice(shop.tokens(bench.size.orders), 20):
        (our_status, reply), (their_status, other) = (each.get(load.PATH + token) for each in (ours, theirs))
        if (our_status, their_status) != (200, 200):
            raise servers.ServerFailed(f"the first requests were answered {our_status} and {their_status}: {reply!r}")
        if _shape(json.loads(reply)) != _shape(json.loads(other)):
            raise servers.ServerFailed(f"the replies differ:\n{reply.decode()}\n{other.decode()}")
        sizes.append((len(reply), len(other)))
    our_mean, their_mean = (sum(column) / len(sizes) for column in zip(*sizes, strict=True))
    bench.report.note(
        f"replies: Carryout {our_mean:,.0f} bytes, typical {their_mean:,.0f} bytes on average; same keys and types"
    )
    return reply


def _check_delivered(*running: servers.Running) -> None:
    """The orders that the last round brought are there, with their links."""
    for each in running:
        status, body = each.get(load.PATH + webhook_token(FIRST_DELIVERY))
        links = [asset["data"]["url"] for line in json.loads(body)["order"]["lines"] for asset in line["assets"]]
        if status != 200 or len(links) != shop.LINES_PER_ORDER or not all(links):  # noqa: PLR2004 - an HTTP status
            raise servers.ServerFailed(f"a delivered order is not served: {status} {body!r}")


def _shape(value: Any) -> Any:
    """Keys and types, without the values."""
    if isinstance(value, dict):
        return {key: _shape(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_shape(each) for each in value]
    return type(value).__name__


def _sync_seconds(folder: Path) -> float:
    with (folder / "sync").open("wb") as file:
        started = time.perf_counter()
        for _ in range(100):
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    return (time.perf_counter() - started) / 100


STAGES = {
    "sqlite": measure_sqlite,
    "postgresql": measure_postgresql,
    "latency": measure_latency,
    "delivery": measure_delivery,
}

if __name__ == "__main__":
    try:
        sys.exit(main())
    except servers.ServerFailed as failed:
        sys.exit(f"bench: {failed}")
