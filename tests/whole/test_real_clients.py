"""Programs that buyers have fetch a file over a network that breaks: all of it, for one use."""

import asyncio
import hashlib
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from carryout.catalog import service as catalog
from carryout.settings import Settings
from tests.cast import NOW
from tests.downloads.market import Market, Sold
from tests.whole.shop import eventually
from tests.world.browser import running_browser
from tests.world.cutting_proxy import CuttingProxy, cutting_proxy
from tests.world.program import Server

SMALL_BYTES: Final = 20_000_000
LARGE_BYTES: Final = 1_000_000_000
_PIECE_BYTES: Final = 1_000_000
_TRIES: Final = 10


@dataclass(frozen=True)
class Film:
    """A film that was sold with one download, and the network that leads to it."""

    sold: Sold
    sha256: bytes
    proxy: CuttingProxy
    folder: Path

    @property
    def url(self) -> str:
        """The link that the buyer has."""
        return f"http://127.0.0.1:{self.proxy.port}{self.sold.path}"

    @property
    def target(self) -> Path:
        """Where the buyer keeps it."""
        return self.folder / "film.mkv"


@pytest.fixture
def size_bytes() -> int:
    return SMALL_BYTES


@pytest.fixture
def film(settings: Settings, size_bytes: int, start_server: Callable[..., Server], tmp_path: Path) -> Iterator[Film]:
    market = Market(settings)
    blob = asyncio.run(market.storage.put(market.store.uid, _pieces(size_bytes)))
    asset = market.write(catalog.add_file, market.store.id, "film.mkv", blob, NOW)
    with cutting_proxy() as proxy:
        server = start_server(CARRYOUT_BASE_URL=f"http://127.0.0.1:{proxy.port}")
        proxy.upstream = server.port
        proxy.cut_at(size_bytes // 3, size_bytes * 3 // 4)
        (tmp_path / "home").mkdir()
        yield Film(market.order(asset, downloads=1), blob.sha256, proxy, tmp_path / "home")


async def _pieces(size_bytes: int) -> AsyncIterator[bytes]:
    """Bytes of which no two megabytes are alike."""
    piece = hashlib.shake_128(b"film").digest(_PIECE_BYTES - 8)
    for number in range(size_bytes // _PIECE_BYTES):
        yield number.to_bytes(8, "big") + piece


def run(*command: str | Path, folder: Path) -> int:
    """A program without settings of anybody's own; its exit code."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False, timeout=300)
    return done.returncode


def curl(film: Film) -> None:
    """It gives up when it is cut off; a person starts it again."""
    command = ("curl", "--silent", "--fail", "--location", "--continue-at", "-", "--output", film.target, film.url)
    codes = [run(*command, folder=film.folder)]
    while codes[-1] and len(codes) < _TRIES:
        codes.append(run(*command, folder=film.folder))
    assert codes == [18, 18, 0]


def wget(film: Film) -> None:
    """It tries again by itself."""
    command = ("wget", "-q", "-c", "--waitretry=0", "-O", film.target, film.url)
    assert run(*command, folder=film.folder) == 0


def wget_anew(film: Film) -> None:
    """It is told to try once, and started again on what it has."""
    command = ("wget", "-q", "-c", "--tries=1", "-O", film.target, film.url)
    codes = [run(*command, folder=film.folder)]
    while codes[-1] and len(codes) < _TRIES:
        codes.append(run(*command, folder=film.folder))
    assert codes == [4, 4, 0]


def aria2(film: Film) -> None:
    """It fetches eight ranges at once."""
    parallel = ("-x", "8", "-s", "8", "-k", "1M", "--file-allocation=none", "--retry-wait=0", "-m", "0")
    command = ("aria2c", "-q", *parallel, "--no-conf", "-d", film.folder, "-o", film.target.name, film.url)
    assert run(*command, folder=film.folder) == 0


def chromium(film: Film) -> None:
    """It goes on by itself, too."""
    asyncio.run(_click(film.url, film.target))


async def _click(url: str, target: Path) -> None:
    async with running_browser() as browser:
        page = await browser.new_page()
        async with page.expect_download() as started:
            await page.evaluate("url => { location.href = url }", url)
        download = await started.value
        assert download.suggested_filename == "film.mkv"
        await download.save_as(target)


def assert_paid_once(film: Film) -> None:
    """All of it arrived, through a network that broke twice, in one download, for one use that is kept."""
    with film.target.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").digest() == film.sha256
    assert film.proxy.cuts == 2
    eventually(lambda: [part.completed_at is not None for part in film.sold.parts] == [True])
    assert film.sold.used == [1]
    film.sold.settle()
    assert film.sold.used == [1]


programs = pytest.mark.parametrize("program", [curl, wget, wget_anew, aria2])
large = pytest.mark.parametrize("size_bytes", [LARGE_BYTES])
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@on_sqlite
@programs
def test_a_program_goes_on_where_the_network_broke(film: Film, program: Callable[[Film], None]) -> None:
    program(film)
    assert_paid_once(film)


@pytest.mark.large
@large
@on_sqlite
@programs
def test_a_program_goes_on_with_a_gigabyte(film: Film, program: Callable[[Film], None]) -> None:
    program(film)
    assert_paid_once(film)


@pytest.mark.large
@on_sqlite
@pytest.mark.parametrize("size_bytes", [SMALL_BYTES, LARGE_BYTES])
def test_a_browser_goes_on_where_the_network_broke(film: Film) -> None:
    chromium(film)
    assert_paid_once(film)
