"""What every stage of the bench needs: how much is measured, where, and where its result goes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import load
import orders as shop
import servers
from report import Report

CONNECTIONS = 32


class Size(NamedTuple):
    """How much is measured."""

    orders: int
    few_orders: int
    many_orders: int
    delivered_orders: int
    large_file_mib: int
    slow_downloads: int
    rounds: int
    seconds: float


FULL = Size(
    orders=100_000,
    few_orders=10_000,
    many_orders=1_000_000,
    delivered_orders=100_000,
    large_file_mib=1024,
    slow_downloads=1_000,
    rounds=5,
    seconds=4,
)
QUICK = Size(
    orders=1_000,
    few_orders=1_000,
    many_orders=5_000,
    delivered_orders=20_000,
    large_file_mib=1024,
    slow_downloads=1_000,
    rounds=2,
    seconds=1,
)


class Bench(NamedTuple):
    """A run."""

    folder: Path
    programs: Path
    size: Size
    report: Report

    def tokens(self, count: int) -> Path:
        """The file of tokens that a load generator cycles through."""
        path = self.folder / f"tokens-{count}"
        if not path.exists():
            path.write_text("\n".join(shop.tokens(count)) + "\n")
        return path

    def ask(self, running: servers.Running, connections: int = CONNECTIONS, count: int = 0) -> Callable[[], load.Round]:
        """A round of random orders."""
        tokens = self.tokens(count or self.size.orders)
        return partial(load.get, running.port, self.size.seconds, connections, load.PATH, tokens)

    def note_rates(self, label: str, rounds: load.Rounds, unit: str = "") -> dict[str, float]:
        """The medians, each noted with its rounds."""
        rates = {name: load.median_rate(results) for name, results in rounds.items()}
        for name, results in rounds.items():
            spread = " ".join(f"{load.rate(each):,.0f}" for each in results)
            self.report.note(f"{label}: {name} {rates[name]:,.0f}{unit}/s (rounds: {spread})")
        return rates
