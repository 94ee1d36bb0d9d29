"""The demo's shop, filled once and copied for each test that asks for it: on SQLite, with the cast's secret key."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.world.program import Cli, Server

STORE: Final = ("--store", "demo-shop.myshopify.com")


def _environment(data_dir: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CARRYOUT_")}
    return inherited | {"CARRYOUT_DATA_DIR": str(data_dir)}


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a filled demo."""
    folder = tmp_path_factory.mktemp("demo")
    Cli(_environment(folder / "data"), folder).ok("demo")
    return folder / "data"


@pytest.fixture
def shop(filled: Path, tmp_path: Path) -> Cli:
    """The command line of a demo of its own."""
    shutil.copytree(filled, tmp_path / "data")
    return Cli(_environment(tmp_path / "data"), tmp_path)


@pytest.fixture
def server_of() -> Iterator[Callable[[Cli], Server]]:
    """Starts a server on the installation of a command line, and ends it with the test."""
    started: list[Server] = []

    def start(cli: Cli) -> Server:
        started.append(Server(cli.environment, cli.folder))
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def empty(tmp_path: Path) -> Cli:
    """The command line of an installation that was never started."""
    return Cli(_environment(tmp_path / "data"), tmp_path)
