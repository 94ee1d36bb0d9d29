"""Very many files and very large ones as one ZIP, over a network that breaks, for the programs that buyers have."""

import asyncio
import hashlib
import os
import random
import subprocess
import sys
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from carryout.catalog import service as catalog
from carryout.catalog.model import Asset
from carryout.db import Tx
from carryout.settings import Settings
from carryout.storage import Blob
from tests.cast import NOW
from tests.downloads.market import Market, Sold
from tests.whole.shop import eventually
from tests.world.cutting_proxy import CuttingProxy, cutting_proxy
from tests.world.program import Server

GIB: Final = 1024**3
_ZEROS: Final = bytes(16 * 1024**2)
_TESTS: Final = (("unzip", "-tqq"), ("7z", "t"), (sys.executable, "-m", "zipfile", "-t"))

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def market(settings: Settings) -> Market:
    return Market(settings)


@pytest.fixture
def network(start_server: Callable[..., Server]) -> Iterator[CuttingProxy]:
    with cutting_proxy() as proxy:
        proxy.upstream = start_server(CARRYOUT_BASE_URL=f"http://127.0.0.1:{proxy.port}").port
        yield proxy


def fetch_in_pieces(network: CuttingProxy, sold: Sold, size_bytes: int, target: Path) -> None:
    """All of an order, by a program that is started again wherever the network breaks."""
    chooser = random.Random(9)  # noqa: S311 - it need not be hard to guess
    network.cut_at(*sorted(chooser.randrange(size_bytes) for _ in range(4)))
    link = f"http://127.0.0.1:{network.port}{sold.zip_path}"
    command = ("curl", "--silent", "--fail", "--location", "--continue-at", "-", "--output", target, link)
    codes = [subprocess.run(command, check=False).returncode for _ in range(network.cuts, 5)]
    assert codes == [18, 18, 18, 18, 0]
    assert network.cuts == 4


def assert_sound(path: Path) -> None:
    """Every program that buyers have accepts it without a warning."""
    for command in _TESTS:
        done = subprocess.run([*command, path], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "arning" not in done.stdout + done.stderr


def assert_paid_once(sold: Sold, members: int) -> None:
    """Each file arrived, for one use of its own."""
    eventually(lambda: [part.completed_at is not None for part in sold.parts] == [True] * members)
    sold.settle()
    assert sold.used == [1] * members


def test_a_thousand_files(market: Market, network: CuttingProxy, tmp_path: Path) -> None:
    contents = {f"track {number}.flac": hashlib.shake_128(b"%d" % number).digest(20 * number) for number in range(1000)}

    async def store() -> list[Blob]:
        storage = market.storage
        return [await storage.put(market.store.uid, _once(content)) for content in contents.values()]

    async def add(tx: Tx, blobs: Sequence[Blob]) -> list[Asset]:
        named = zip(contents, blobs, strict=True)
        return [await catalog.add_file(tx, market.store.id, name, blob, NOW) for name, blob in named]

    sold = market.order(*market.write(add, asyncio.run(store())), downloads=1)
    fetch_in_pieces(network, sold, sum(map(len, contents.values())), tmp_path / "all.zip")
    assert_sound(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == contents
    assert_paid_once(sold, 1000)


@pytest.mark.large
def test_more_than_4_gib(market: Market, network: CuttingProxy, tmp_path: Path) -> None:
    sizes = {"a small one.txt": 9, "huge.iso": 4 * GIB + 1, "another.iso": GIB // 2}
    assets = [
        market.write(catalog.add_file, market.store.id, name, _zeros(market, size), NOW) for name, size in sizes.items()
    ]
    sold = market.order(*assets, downloads=1)
    fetch_in_pieces(network, sold, sum(sizes.values()), tmp_path / "all.zip")
    assert_sound(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert {member.filename: member.file_size for member in archive.infolist()} == sizes
    assert_paid_once(sold, 3)


def _zeros(market: Market, size_bytes: int) -> Blob:
    """Zeros that take no room; their digest is made up."""
    crc32 = 0
    for start in range(0, size_bytes, len(_ZEROS)):
        crc32 = zlib.crc32(_ZEROS[: size_bytes - start], crc32)
    blob = Blob(os.urandom(32), crc32, size_bytes)
    path = market.path(blob.sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.truncate(path, size_bytes)
    return blob


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
