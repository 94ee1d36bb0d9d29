import asyncio
import html
import io
import re
import zipfile
from collections.abc import AsyncIterator, Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest

from carryout.db import Database
from carryout.evidence import service as evidence
from carryout.orders import service as orders
from carryout.orders.model import Standing
from carryout.storefront.texts import LANGUAGES
from carryout.tickets import TicketKind, Tickets
from tests.cast import BEA
from tests.merchants.makers import KEYRING
from tests.orders.makers import TOKEN
from tests.storefront.makers import CONTENT, FAR_AHEAD, LONG_AGO, Shop, Sold, make_shop
from tests.world.program import Cli, Server

SCANNED: Final = re.compile(r'(?:href|src|action)="([^"]+)"')


@pytest.fixture
async def shop(database: Database, data_dir: Path, server: Server) -> Shop:
    sold = [Sold("a.flac"), Sold("film", link="https://example.com/film"), Sold("b.txt", is_of_order=True)]
    return await make_shop(database, data_dir, server.base_url, sold)


@pytest.fixture
async def buyer() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=20) as client:
        yield client


async def test_the_page_shows_what_was_bought_and_may_be_kept_by_nobody(shop: Shop, buyer: httpx.AsyncClient) -> None:
    page = await buyer.get(await shop.page_url())

    assert page.status_code == 200
    shown = (
        "Download files for your orders",
        "Order 1050",
        "Field recordings",
        "a.flac",
        "film",
        "b.txt",
        "26\u00a0bytes",
    )
    assert [text for text in shown if text not in page.text] == []
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "noindex" in page.headers["x-robots-tag"]
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script" not in policy
    assert "unsafe" not in policy


async def test_nothing_personal_stands_on_it(shop: Shop, buyer: httpx.AsyncClient) -> None:
    page = await buyer.get(await shop.page_url())

    assert [text for text in (BEA.email, BEA.name, "127.0.0", str(shop.order.shopify_id)) if text in page.text] == []


async def test_head_is_get_without_the_body(shop: Shop, buyer: httpx.AsyncClient) -> None:
    url = await shop.page_url()

    get, head = await buyer.get(url), await buyer.head(url)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


async def test_a_button_leads_through_the_deciding_door_to_the_file(shop: Shop, buyer: httpx.AsyncClient) -> None:
    grant, *_ = await shop.grants()

    sent_on = await buyer.post(f"{await shop.page_url()}/{grant.uid}")
    file = await buyer.get(sent_on.headers["location"], follow_redirects=True)

    assert (sent_on.status_code, sent_on.content) == (303, b"")
    assert sent_on.headers["location"].startswith(f"{shop.base_url}/d/")
    assert file.content == CONTENT
    assert [grant.used for grant in await shop.grants()] == [1, 0, 0]


async def test_one_button_leads_to_all_files_as_a_zip(shop: Shop, buyer: httpx.AsyncClient) -> None:
    page = await buyer.get(await shop.page_url())
    pressed = await buyer.post(f"{await shop.page_url()}/all")
    archive = await buyer.get(pressed.headers["location"], follow_redirects=True)

    assert f'action="{urlsplit(await shop.page_url()).path}/all"' in page.text
    assert "Download all as one ZIP" in page.text
    assert "52\u00a0bytes" in page.text
    assert "is used" not in page.text  # nothing is counted down where there is no limit
    assert (pressed.status_code, pressed.content) == (303, b"")
    with zipfile.ZipFile(io.BytesIO(archive.content)) as unpacked:
        assert sorted(unpacked.namelist()) == ["a.flac", "b.txt", "links.txt"]
        assert unpacked.read("a.flac") == CONTENT
    assert [grant.used for grant in await shop.grants()] == [1, 0, 1]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_one_file_alone_has_no_button_for_all(
    database: Database, data_dir: Path, server: Server, buyer: httpx.AsyncClient
) -> None:
    sold = [Sold("a.flac"), Sold("film", link="https://example.com/film"), Sold("b.flac", limits={"downloads": "0"})]
    shop = await make_shop(database, data_dir, server.base_url, sold)
    url = await shop.page_url()

    assert "/all" not in (await buyer.get(url)).text
    assert (await buyer.post(f"{url}/all")).status_code == 303  # of a page that was opened before
    await shop.database.write(orders.block, shop.store.id, shop.order.id, 1)
    refused = await buyer.post(f"{url}/all")
    assert refused.status_code == 403
    assert refused.text.count('role="alert"') == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_links_alone_are_no_zip(
    database: Database, data_dir: Path, server: Server, buyer: httpx.AsyncClient
) -> None:
    sold = [Sold("film", link="https://example.com/film"), Sold("more", link="https://example.com/more")]
    shop = await make_shop(database, data_dir, server.base_url, sold)

    assert "/all" not in (await buyer.get(await shop.page_url())).text
    assert (await buyer.post(f"{await shop.page_url()}/all")).status_code == 404


async def test_who_has_begun_may_go_on_at_the_limit_and_others_may_not(
    database: Database, data_dir: Path, server: Server, buyer: httpx.AsyncClient
) -> None:
    sold = [Sold("a.flac", limits={"downloads": "1"}), Sold("b.txt")]
    shop = await make_shop(database, data_dir, server.base_url, sold)
    url, (grant, _) = await shop.page_url(), await shop.grants()
    location = (await buyer.post(f"{url}/{grant.uid}")).headers["location"]
    assert (await buyer.get(location)).status_code == 302  # opened, and not a byte taken yet

    mine = await buyer.get(url)
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(local_address=BEA.address)) as elsewhere:
        theirs = await elsewhere.get(url)

    assert f"/{grant.uid}" in mine.text
    assert "You can go on with the download that you began" in mine.text
    assert f"/{grant.uid}" not in theirs.text
    assert "You can go on" not in theirs.text
    again = await buyer.get((await buyer.post(f"{url}/{grant.uid}")).headers["location"], follow_redirects=True)
    assert again.content == CONTENT
    assert [grant.used for grant in await shop.grants()] == [1, 0]

    async with asyncio.timeout(20):  # what was sent is recorded after the last byte, and keeps its use from then on
        while "download.completed" not in await _events(shop):
            pass
    await shop.database.write(orders.revoke_links, shop.store.id, shop.order.id)
    assert f"/{grant.uid}" not in (await buyer.get(await shop.page_url())).text


async def _events(shop: Shop) -> list[str]:
    return [row.type for row in await shop.database.read(evidence.list_of_order, shop.store.id, shop.order.id)]


async def test_who_has_begun_a_zip_may_go_on_with_it(
    database: Database, data_dir: Path, server: Server, buyer: httpx.AsyncClient
) -> None:
    once = {"downloads": "1"}
    shop = await make_shop(database, data_dir, server.base_url, [Sold("a.flac", limits=once), Sold("b", limits=once)])
    url = await shop.page_url()
    assert "One download of each of the 2 files is used" in (await buyer.get(url)).text
    assert (await buyer.get((await buyer.post(f"{url}/all")).headers["location"])).status_code == 302

    begun = await buyer.get(url)
    archive = await buyer.get((await buyer.post(f"{url}/all")).headers["location"], follow_redirects=True)

    assert "You can go on with the download that you began" in begun.text
    assert begun.text.count("<form") == 1
    assert zipfile.ZipFile(io.BytesIO(archive.content)).testzip() is None
    assert [grant.used for grant in await shop.grants()] == [1, 1]
    await shop.database.write(orders.block, shop.store.id, shop.order.id, 1)
    assert "<form" not in (await buyer.get(url)).text


async def test_a_button_is_pressed_not_followed(shop: Shop, buyer: httpx.AsyncClient) -> None:
    grant, *_ = await shop.grants()

    followed = await buyer.get(f"{await shop.page_url()}/{grant.uid}")

    assert (followed.status_code, followed.headers["allow"]) == (405, "POST")


async def test_a_scanner_that_follows_every_address_spends_nothing(
    shop: Shop, buyer: httpx.AsyncClient, cli: Cli
) -> None:
    order = ("--store", shop.store.domain, shop.order.uid, "--json")
    page_url = urlsplit(cli.ok("order", "show", *order).json["page_url"])
    waiting, seen = [f"{shop.base_url}{page_url.path}"], set()
    while waiting:
        link = waiting.pop()
        seen.add(link)
        for method in ("GET", "HEAD"):
            reply = await buyer.request(method, link, follow_redirects=True)
            assert reply.status_code in (200, 405), f"{method} {link}"
            found = {str(reply.url.join(each)) for each in SCANNED.findall(html.unescape(reply.text))}
            found |= {str(each.url) for each in reply.history}
            waiting += [each for each in found - seen - set(waiting) if each.startswith(shop.base_url)]
    assert len(seen) > len(LANGUAGES) + 3  # each with its buttons

    reply = await buyer.get(f"{shop.base_url}/api/v2/customer-account-orders", params={"id": TOKEN})
    doors = re.findall(rf"{shop.base_url}/d/[^\"]+", reply.text)
    for door in doors:  # a link of the API is the download itself: looking at it is not to take it
        assert (await buyer.head(door, follow_redirects=True)).status_code == 200
        assert (await buyer.get(door, headers={"purpose": "preview"}, follow_redirects=True)).status_code == 204
    assert len(doors) == 3

    assert [grant.used for grant in await shop.grants()] == [0, 0, 0]
    assert cli.ok("evidence", *order).json == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_every_ticket_that_opens_nothing_gets_the_same_bytes(shop: Shop, buyer: httpx.AsyncClient) -> None:
    url = await shop.page_url()
    await shop.database.write(orders.revoke_links, shop.store.id, shop.order.id)
    tickets = Tickets(KEYRING)
    foreign = tickets.issue(TicketKind.ORDER, shop.store.id + 1, shop.order.id, 2)
    of_a_grant = tickets.issue(TicketKind.GRANT, shop.store.id, shop.order.id, 2)
    wrong = [
        url,
        url[:-1],
        url[:-4] + "AAAA",
        *(f"{shop.base_url}/o/{text}" for text in (foreign, of_a_grant, "x", "%00")),
    ]

    replies = [await buyer.get(each) for each in wrong]
    posts = [await buyer.post(f"{each}/{shop.store.uid}") for each in wrong]

    assert {reply.status_code for reply in [*replies, *posts]} == {404}
    assert len({reply.text for reply in [*replies, *posts]}) == 1
    assert "ask the shop to send you a new link" in replies[0].text
    assert (await buyer.get(await shop.page_url())).status_code == 200


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_guessing_is_slowed_and_a_hit_is_always_answered(
    database: Database, data_dir: Path, start_server: Callable[..., Server], buyer: httpx.AsyncClient
) -> None:
    server = start_server(CARRYOUT_GUESS_LIMIT="3")
    shop = await make_shop(database, data_dir, server.base_url)

    answers = [(await buyer.get(f"{server.base_url}/o/{number}")).status_code for number in range(5)]

    assert answers == [404, 404, 404, 429, 429]
    assert (await buyer.get(await shop.page_url())).status_code == 200


async def test_a_grant_of_another_order_is_not_found(shop: Shop, buyer: httpx.AsyncClient) -> None:
    for uid in (shop.store.uid, "none", "%2e%2e", "x" * 500):
        assert (await buyer.post(f"{await shop.page_url()}/{uid}")).status_code == 404


REFUSALS: Final[dict[str, tuple[int, dict[str, str], dict[str, Any], dict[str, int]]]] = {
    # code: the door's status, the asset's own limits, the order's facts, the order's own terms
    "order_cancelled": (403, {}, {"standing": Standing.CANCELLED}, {}),
    "order_refunded": (403, {}, {"standing": Standing.REFUNDED}, {}),
    "order_not_paid": (402, {}, {"standing": Standing.PENDING}, {}),
    "not_yet_available": (403, {"release_at": FAR_AHEAD}, {}, {}),
    "expired": (410, {"expires_days": "1"}, {"ordered_at": LONG_AGO}, {}),
    "download_limit_reached": (403, {"downloads": "0"}, {}, {}),
    "ip_limit_reached": (403, {}, {}, {"addresses": 0}),
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("code", REFUSALS)
async def test_a_refusal_stands_in_its_row_and_is_the_doors(
    database: Database, data_dir: Path, server: Server, buyer: httpx.AsyncClient, code: str
) -> None:
    status, limits, facts, terms = REFUSALS[code]
    shop = await make_shop(database, data_dir, server.base_url, [Sold("a.flac", limits=limits)], **facts)
    await database.write(orders.set_terms, shop.store.id, shop.order, terms)
    url, (grant,) = await shop.page_url(), await shop.grants()

    page, pressed = await buyer.get(f"{url}?lang=de"), await buyer.post(f"{url}/{grant.uid}?lang=de")

    assert (page.status_code, pressed.status_code) == (200, status)
    assert LANGUAGES["de"].refusals[code] in page.text
    assert 'role="alert"' in pressed.text
    assert 'role="alert"' not in page.text
    assert "<form" not in page.text

    await shop.set(**{f"message_{code}": "Ask <Mira>"})
    assert "Ask &lt;Mira&gt;" in (await buyer.get(url)).text


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_blocked_order_has_no_button(shop: Shop, buyer: httpx.AsyncClient) -> None:
    await shop.database.write(orders.block, shop.store.id, shop.order.id, 1)

    page = await buyer.get(await shop.page_url())

    assert page.text.count("Access to this order has been blocked") == 3
    assert "<form" not in page.text


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_language_is_the_wish_then_the_browsers_then_the_orders(
    database: Database, data_dir: Path, server: Server, buyer: httpx.AsyncClient
) -> None:
    shop = await make_shop(database, data_dir, server.base_url, locale="fr-CA")
    url = await shop.page_url()
    asked = {"accept-language": "pt, es;q=0.8, de;q=0.9"}

    wished = await buyer.get(f"{url}?lang=ja", headers=asked)
    pages = [wished, await buyer.get(url, headers=asked), await buyer.get(url)]

    assert [re.findall(r'<html lang="(..)"', page.text) for page in pages] == [["ja"], ["de"], ["fr"]]
    assert f"/{(await shop.grants())[0].uid}?lang=ja" in wished.text


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_stores_own_title_text_colour_zone_and_contact_are_used(
    database: Database, data_dir: Path, server: Server, buyer: httpx.AsyncClient
) -> None:
    sold = [Sold("a.flac", limits={"downloads": "5", "expires_days": "36500"})]
    shop = await make_shop(database, data_dir, server.base_url, sold)
    await shop.set(
        title="Mira's <b>shop</b>",
        text="Thank you!",
        accent="#7a1fa2",
        timezone="Asia/Tokyo",
        contact_url="mailto:m@example.com",
    )

    page = (await buyer.get(await shop.page_url())).text

    assert "<title>Mira&#39;s &lt;b&gt;shop&lt;/b&gt;</title>" in page
    assert "Thank you!" in page
    assert "--accent: #7a1fa2" in page
    assert "5 of 5 downloads left" in page
    assert re.search(r"Available until 1 November 2126, 01:12 JST", page)
    assert 'href="mailto:m@example.com"' in page


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_logo_is_kept_and_served_by_us(
    shop: Shop, buyer: httpx.AsyncClient, cli: Cli, tmp_path: Path
) -> None:
    picture = tmp_path / "logo.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n and so on")
    cli.ok("store", "set", shop.store.uid, f"logo={picture}")
    picture.unlink()
    url = await shop.page_url()

    logo = await buyer.get(f"{url}/logo")

    assert 'class="logo"' in (await buyer.get(url)).text
    assert (logo.status_code, logo.headers["content-type"]) == (200, "image/png")
    assert logo.content == b"\x89PNG\r\n\x1a\n and so on"
    assert "sandbox" in logo.headers["content-security-policy"]
    cli.ok("store", "set", shop.store.uid, "logo=none")
    assert (await buyer.get(f"{url}/logo")).status_code == 404


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_order_of_nothing_says_so(
    database: Database, data_dir: Path, server: Server, buyer: httpx.AsyncClient
) -> None:
    shop = await make_shop(database, data_dir, server.base_url, [])

    page = await buyer.get(await shop.page_url())

    assert "There is nothing to download in this order." in page.text


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_names_that_look_like_markup_are_text(
    database: Database, data_dir: Path, server: Server, buyer: httpx.AsyncClient
) -> None:
    name = '</style><script>alert(1)</script>"onx="{{7*7}}'
    shop = await make_shop(database, data_dir, server.base_url, [Sold(name, product=name)])
    await shop.set(title=name, text=name)
    tags: set[str] = set()

    class Finder(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.update([tag, *(f"@{key}" for key, _ in attrs if key.startswith("on") or key == "style")])

    Finder().feed((await buyer.get(await shop.page_url())).text)

    assert not {tag for tag in tags if tag == "script" or tag.startswith("@")}
