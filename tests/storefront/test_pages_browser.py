import asyncio
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from playwright.async_api import Browser, Page

from carryout import clock
from carryout.clock import HOUR
from carryout.db import Database
from carryout.orders import service as orders
from carryout.sessions import service as sessions
from carryout.storefront.texts import LANGUAGES
from tests.storefront.makers import CONTENT, FAR_AHEAD, Shop, Sold, make_shop
from tests.world.browser import NARROW, WIDE, running_browser, violations
from tests.world.program import Server

pytestmark = [pytest.mark.parametrize("database_url", ["sqlite"], indirect=True), pytest.mark.large]

RTL: Final = "\u05e9\u05dc\u05d5\u05dd (1).pdf"
LONG: Final = "a-name-without-a-space-" * 10 + ".flac"
EVERYTHING: Final = (
    Sold("Winter sounds.mp3", limits={"downloads": "5"}),
    Sold("Making of", link="https://example.com/film", product="Films"),
    Sold("Used up.pdf", limits={"downloads": "0"}, product="Guides"),
    Sold("Next year.pdf", limits={"release_at": FAR_AHEAD}, product="Guides 2"),
    Sold("Over.pdf", limits={"expires_days": "1"}, product="Guides 3"),
    Sold(RTL, product="\u05e1\u05e4\u05e8"),
    Sold(LONG, product="W" * 200),
    Sold("licence.txt", is_of_order=True),
)
TRAPS: Final = (
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "</script><script>alert(1)</script>",
    "</style><style>@import url(http://127.0.0.9/)</style>",
    "</title><script>alert(1)</script>",
    "javascript:alert(1)",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "' autofocus onfocus=alert(1) x='",
)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with running_browser() as browser:
        yield browser


@pytest.fixture
async def shop(database: Database, data_dir: Path, server: Server) -> Shop:
    shop = await make_shop(database, data_dir, server.base_url, EVERYTHING)
    await shop.set(text="Thank you.\nHave fun!", accent="#7a1fa2", contact_url="mailto:mira@example.com")
    return shop


@pytest.mark.parametrize("code", LANGUAGES)
async def test_axe_finds_nothing_in_light_dark_and_narrow(browser: Browser, shop: Shop, code: str) -> None:
    url = f"{await shop.page_url()}?lang={code}"
    for scheme, size in (("light", WIDE), ("dark", WIDE), ("light", NARROW), ("dark", NARROW)):
        page = await _page(browser, scheme, size)
        for each in (url, f"{shop.base_url}/o/wrong?lang={code}"):
            await page.goto(each)
            assert await violations(page) == []
            assert await _overflow(page) == 0
        await page.context.close()


@pytest.mark.parametrize("code", LANGUAGES)
async def test_axe_finds_nothing_where_a_download_was_begun_or_has_ended(
    browser: Browser, database: Database, data_dir: Path, server: Server, code: str
) -> None:
    sold = [Sold("a.flac", limits={"downloads": "1"}), Sold("b.flac"), Sold("c.flac")]
    shop = await make_shop(database, data_dir, server.base_url, sold)
    url = f"{await shop.page_url()}?lang={code}"
    first, second, _ = await shop.grants()
    ended = await _begin(shop, second.uid)
    await database.write(sessions.settle_order, shop.store.id, shop.order.id, clock.now() + 25 * HOUR)
    await _begin(shop, first.uid)
    for scheme, size in (("light", WIDE), ("dark", WIDE), ("light", NARROW), ("dark", NARROW)):
        page = await _page(browser, scheme, size)
        for each, shown in ((url, LANGUAGES[code].words["resumable"]), (ended, "This download has ended.")):
            await page.goto(each)
            assert shown in await page.content()
            assert await violations(page) == []
            assert await _overflow(page) == 0
        await page.get_by_role("link").click()
        await page.wait_for_url("**/o/**")
        assert await page.locator("form.all").count() == 1
        await page.context.close()


async def test_axe_finds_nothing_on_a_refused_an_empty_and_a_very_long_order(
    browser: Browser, database: Database, data_dir: Path, server: Server
) -> None:
    many = [Sold(f"file {number}.bin", product=f"Box {number // 20}") for number in range(200)]
    shop = await make_shop(database, data_dir, server.base_url, many)
    page = await _page(browser, "dark", NARROW)
    url = await shop.page_url()

    await page.goto(url)
    assert await page.get_by_role("button").count() == 201
    assert await violations(page) == []
    await shop.database.write(orders.block, shop.store.id, shop.order.id, 1)
    await page.get_by_role("button", name="file 100.bin").click()
    assert await violations(page) == []
    assert await page.evaluate("document.activeElement.id") == f"why{(await shop.grants())[100].uid}"


async def test_nothing_that_a_merchant_or_a_shop_writes_runs(
    browser: Browser, database: Database, data_dir: Path, server: Server
) -> None:
    sold = [Sold(f"{trap} {number}", product=f"{trap} {number}") for number, trap in enumerate(TRAPS)]
    shop = await make_shop(database, data_dir, server.base_url, sold)
    page = await _page(browser)
    trouble: list[str] = []
    page.on("dialog", lambda dialog: trouble.append(dialog.message))
    page.on("console", lambda message: trouble.append(f"{message.text} {message.location['url']}"))
    page.on("request", lambda request: trouble.append(request.url))

    for trap in TRAPS:
        await shop.set(title=trap, text=trap, message_order_not_paid=trap)
        await page.goto(await shop.page_url())
        assert await page.title() == " ".join(trap.split())
        assert await page.locator("h1").inner_text() == trap

    ours = (f"{shop.base_url}/o/", f"{shop.base_url}/favicon.ico")
    assert [each for each in trouble if not each.rpartition(" ")[2].startswith(ours)] == []
    assert [each for each in trouble if "Content Security Policy" in each] == []
    assert await page.evaluate("document.scripts.length") == 0


async def test_a_press_downloads_without_any_script_and_by_keyboard(
    browser: Browser, shop: Shop, tmp_path: Path
) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(await shop.page_url())
    await page.get_by_role("button", name="Download Winter sounds.mp3").focus()

    async with page.expect_download() as downloading:
        await page.keyboard.press("Enter")
    download = await downloading.value
    await download.save_as(tmp_path / "saved")

    assert download.suggested_filename == "Winter sounds.mp3"
    assert await asyncio.to_thread((tmp_path / "saved").read_bytes) == CONTENT
    assert [grant.used for grant in await shop.grants()] == [1, 0, 0, 0, 0, 0, 0, 0]
    await page.reload()
    assert "4 of 5 downloads left" in await page.content()


async def test_all_files_come_in_one_zip_by_one_press(browser: Browser, shop: Shop, tmp_path: Path) -> None:
    page = await _page(browser)
    await page.goto(await shop.page_url())
    async with page.expect_download() as downloading:
        await page.get_by_role("button", name="Download all as one ZIP").click()
    download = await downloading.value
    await download.save_as(tmp_path / "all.zip")

    assert download.suggested_filename.endswith("1050.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.testzip() is None
        names = set(archive.namelist())
    assert {"Winter sounds.mp3", RTL, "licence.txt", "links.txt"} <= names
    used = {grant.filename: grant.used for grant in await shop.grants()}
    assert [used[name] for name in ("Winter sounds.mp3", RTL, "Making of", "Used up.pdf")] == [1, 1, 0, 0]


async def test_the_keyboard_reaches_every_button_in_order(browser: Browser, shop: Shop) -> None:
    page = await _page(browser)
    await page.goto(await shop.page_url())
    reached = []

    for _ in range(8):
        await page.keyboard.press("Tab")
        reached.append(" ".join((await page.evaluate("document.activeElement.innerText")).split()))

    assert reached[:5] == [
        "Download all as one ZIP",
        "Checksum (SHA-256) Winter sounds.mp3",
        "Download Winter sounds.mp3",
        "Open Making of",
        "Checksum (SHA-256) Used up.pdf",
    ]


async def test_a_link_leads_through_its_own_redirects(
    browser: Browser, database: Database, data_dir: Path, server: Server
) -> None:
    async with _redirecting() as first:
        shop = await make_shop(database, data_dir, server.base_url, [Sold("film", link=first)])
        page = await _page(browser)
        await page.goto(await shop.page_url())

        await page.get_by_role("button", name="Open film").click()
        await page.wait_for_url("**/arrived")

    assert await page.locator("body").inner_text() == "arrived without a referrer"
    assert [grant.used for grant in await shop.grants()] == [1]


async def test_on_paper_there_are_names_and_no_buttons(browser: Browser, shop: Shop) -> None:
    page = await _page(browser, "dark")
    await page.goto(await shop.page_url())
    await page.emulate_media(media="print")

    assert await page.get_by_text("Winter sounds.mp3", exact=True).first.is_visible()
    assert not await page.locator("button").first.is_visible()
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


async def _page(browser: Browser, scheme: Any = "light", size: Any = WIDE) -> Page:
    context = await browser.new_context(color_scheme=scheme, viewport=size, locale="en-GB")
    return await context.new_page()


async def _begin(shop: Shop, uid: str) -> str:
    """Open a download at the buyer's address, and take no byte of it; where it is sent."""
    async with httpx.AsyncClient() as buyer:
        pressed = await buyer.post(f"{await shop.page_url()}/{uid}")
        return (await buyer.get(pressed.headers["location"])).headers["location"]


async def _overflow(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    return int(await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@asynccontextmanager
async def _redirecting() -> AsyncIterator[str]:
    """A site that redirects to another one, as shorteners do; the address of the first."""

    async def first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _answer(reader, writer, f"302 Found\r\nlocation: http://127.0.0.3:{ports[1]}/arrived", "")

    async def second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _answer(reader, writer, "200 OK", "arrived")

    servers = [await asyncio.start_server(first, "127.0.0.2", 0), await asyncio.start_server(second, "127.0.0.3", 0)]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    try:
        yield f"http://127.0.0.2:{ports[0]}/short"
    finally:
        for server in servers:
            server.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: str, body: str) -> None:
    request = (await reader.readuntil(b"\r\n\r\n")).lower()
    said = body and f"{body} {'with' if b'referer' in request else 'without'} a referrer"
    writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(said)}\r\nconnection: close\r\n\r\n{said}".encode())
    await writer.drain()
    writer.close()
