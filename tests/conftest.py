"""Fixtures that every test may ask for. Room tests ask for `database` and run on both; door tests ask for `server`.

`database`, `database_url`, `environment`, `settings`, `cli` and `server` of one test mean the same installation. To run
on one database only: `@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)`. Files are kept in a folder;
to run on S3 too: `@pytest.mark.parametrize("storage_url", ["disk", "swift"], indirect=True)`.
"""

import os
import shutil
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Final

import hypothesis
import pytest

from carryout.db import Database, open_database
from carryout.db.migrate import upgrade
from carryout.settings import Settings, load
from tests.world.buckets import KEYS, Buckets, running_moto, running_swift
from tests.world.loopback import refuse_other_machines
from tests.world.postgresql import Cluster, running_cluster
from tests.world.program import Cli, Server

SECRET: Final = "the secret key of the tests"
_REPORTS = pytest.StashKey[list[Server]]()

refuse_other_machines()
# How long an example takes says more about the machine than about us.
hypothesis.settings.register_profile("house", deadline=None, print_blob=True)
hypothesis.settings.load_profile("house")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL cluster of this session (of this worker, under xdist)."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with our tables and no rows, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "carryout.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """The data folder of this test's installation."""
    path = tmp_path / "data"
    path.mkdir()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[str]:
    """The address of a migrated, empty database, of either kind."""
    if request.param == "postgresql":
        cluster: Cluster = request.getfixturevalue("cluster")
        url = cluster.make_migrated()
        yield url
        cluster.drop(url)
    else:
        path = data_dir / "carryout.db"
        shutil.copyfile(request.getfixturevalue("migrated_file"), path)
        yield f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[str]:
    """The address of a database that was never migrated, of either kind."""
    if request.param == "postgresql":
        cluster: Cluster = request.getfixturevalue("cluster")
        url = cluster.make_empty()
        yield url
        cluster.drop(url)
    else:
        yield f"sqlite:///{data_dir / 'carryout.db'}"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open, migrated, empty database, of either kind."""
    database = open_database(database_url)
    yield database
    await database.close()


@pytest.fixture(scope="session")
def swift() -> Iterator[Buckets]:
    """A Swift with an S3 interface, of this session."""
    with running_swift() as buckets:
        yield buckets


@pytest.fixture(scope="session")
def moto() -> Iterator[Buckets]:
    """A moto of this session."""
    with running_moto() as buckets:
        yield buckets


@pytest.fixture
def storage_url(request: pytest.FixtureRequest, data_dir: Path) -> str:
    """The address of an empty storage: a folder, or an S3 bucket for who asks for `swift` or `moto`."""
    kind = getattr(request, "param", "disk")
    if kind == "disk":
        return f"file://{data_dir}/files"
    buckets: Buckets = request.getfixturevalue(kind)
    return buckets.make()


@pytest.fixture
def environment(database_url: str, storage_url: str, data_dir: Path) -> dict[str, str]:
    """The environment of this test's installation: nothing of the caller's own settings, and known keys."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CARRYOUT_", "AWS_"))}
    return {
        **inherited,
        **KEYS,
        "CARRYOUT_DATA_DIR": str(data_dir),
        "CARRYOUT_DATABASE_URL": database_url,
        "CARRYOUT_STORAGE_URL": storage_url,
        "CARRYOUT_SECRET_KEY": SECRET,
    }


@pytest.fixture
def settings(environment: dict[str, str], tmp_path: Path) -> Settings:
    """The settings of this test's installation, as its program reads them."""
    return load(environment, tmp_path)


@pytest.fixture
def cli(environment: dict[str, str], tmp_path: Path) -> Cli:
    """`cli("store", "list", "--json").json`: the command line of this test's installation."""
    return Cli(environment, tmp_path)


@pytest.fixture
def start_server(
    request: pytest.FixtureRequest, environment: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., Server]]:
    """`start_server("--workers", "2", CARRYOUT_GUESS_LIMIT="0")`: a server of this test's installation."""
    started = request.node.stash.setdefault(_REPORTS, [])

    def start(*args: str, **settings: str) -> Server:
        server = Server({**environment, **settings}, tmp_path, *args)
        started.append(server)
        return server

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """A running server of this test's installation, with its default options."""
    return start_server()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of a failed test's servers with it."""
    report = yield
    if report.failed and call.when == "call":
        for server in item.stash.get(_REPORTS, []):
            ended = "" if (code := server.process.poll()) is None else f", which ended with {code},"
            report.sections.append((f"stderr of {server.base_url}{ended}", server.log))
    return report
