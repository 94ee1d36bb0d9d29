"""`GET /o/{ticket}`: the buyer's page, and the buttons on it.

Buttons are forms that post here and are sent on (303) to the deciding door, so what only follows links, such as a mail
scanner or a chat preview, spends nothing. The post itself spends nothing either, and needs the ticket in its address:
there is no cookie that another site could ride on, so there is no token against that.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import jinja2
from starlette.requests import Request
from starlette.responses import Response

from carryout.clock import Clock
from carryout.db import Database
from carryout.entitlements.model import Refusal
from carryout.keyring import Keyring
from carryout.merchants.model import StoreSettings
from carryout.merchants.service import dark_pair
from carryout.storage import BlobMissing, Storage
from carryout.storefront import service, texts
from carryout.storefront.model import OrderPage, Row
from carryout.storefront.texts import Language
from carryout.tickets import Links, Ticket, TicketKind, Tickets
from carryout.web.addresses import Trusted, client_network
from carryout.web.guessing import GuessLimit
from carryout.web.routes import NO_BODY, DeclaredRoute, Head, RateLimit, Who, route

LOGO_TYPES: Final = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "gif": "image/gif"}

_LOGO: Final = re.compile(rf"([0-9a-f]{{64}})\.({'|'.join(LOGO_TYPES)})")
_WORTH_A_ZIP: Final = 2
_STYLE: Final = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_GUARDED: Final = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex, nofollow",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True)
class PageDoor:
    """Whoever holds an order's ticket may enter; wrong tickets are counted per address. `HEAD` is `GET` without a body.

    `statuses` are what the deciding door answers to each refusal.
    """

    database: Database
    storage: Storage
    tickets: Tickets
    links: Links
    keyring: Keyring
    now: Clock
    guesses: GuessLimit
    trusted: Trusted
    statuses: Mapping[Refusal, int]

    def routes(self) -> list[DeclaredRoute]:
        """What this door answers."""
        ways: list[tuple[str, Any, str, Head]] = [
            ("/o/{ticket}", self.show, "GET", Head.LIKE_GET),
            ("/o/{ticket}/logo", self.logo, "GET", Head.LIKE_GET),
            ("/o/{ticket}/all", self.download_all, "POST", Head.REFUSED),
            ("/o/{ticket}/{grant}", self.download, "POST", Head.REFUSED),
        ]
        return [
            route(
                path,
                door,
                methods=[method],
                who=Who.TICKET_HOLDER,
                limit=RateLimit.MISSES,
                body_limit_bytes=NO_BODY,
                head=head,
            )
            for path, door, method, head in ways
        ]

    async def show(self, request: Request) -> Response:
        """The page as this client may use it; nothing is spent. Errors: `TooManyGuesses`."""
        page = await self._open(request)
        return _lost_page(request) if page is None else self._page(request, page)

    async def download(self, request: Request) -> Response:
        """To the deciding door of a grant, or the page again with what refuses it. Errors: `TooManyGuesses`."""
        page = await self._open(request)
        row = None if page is None else _find(page, request.path_params["grant"])
        if page is None or row is None:
            return _lost_page(request)
        if row.refusal is not None:
            return self._page(request, page, row)
        url = self.links.grant(page.store_id, row.grant_id, page.link_generation, row.filename)
        return Response(status_code=HTTPStatus.SEE_OTHER, headers=_GUARDED | {"location": url})

    async def download_all(self, request: Request) -> Response:
        """To the deciding door of all files as a ZIP, or the page again with the first refusal.

        Errors: `TooManyGuesses`.
        """
        page = await self._open(request)
        files = [] if page is None else [row for row in page.rows if not row.is_link]
        if page is None or not files:
            return _lost_page(request)
        if not page.zip_files and not page.is_zip_open:
            return self._page(request, page, next((row for row in files if row.refusal is not None), None))
        name = "order.zip" if page.order_number is None else f"order-{page.order_number}.zip"
        url = self.links.everything(page.store_id, page.order_id, page.link_generation, name)
        return Response(status_code=HTTPStatus.SEE_OTHER, headers=_GUARDED | {"location": url})

    async def logo(self, request: Request) -> Response:
        """The store's picture, as it was when it was set. Errors: `TooManyGuesses`, `StorageUnavailable`."""
        page = await self._open(request)
        kept = None if page is None else _kept_logo(page.settings)
        if page is None or kept is None:
            return _lost_page(request)
        digest, media_type = kept
        try:
            blob = await self.storage.open(page.store_uid, digest)
        except BlobMissing:
            return _lost_page(request)
        try:
            picture = await blob.read(0, blob.size_bytes)
        finally:
            await blob.close()
        policy = {"content-security-policy": "default-src 'none'; sandbox"}
        return Response(picture, headers=_GUARDED | policy, media_type=media_type)

    async def _open(self, request: Request) -> OrderPage | None:
        """The page that the ticket opens to this client, or None. Errors: `TooManyGuesses`, on one miss too many."""
        network = client_network(request.scope, self.trusted)
        ticket = self.tickets.read(TicketKind.ORDER, request.path_params["ticket"])
        page = None if ticket is None else await self._find(ticket, network)
        if page is None:
            self.guesses.refuse_miss(network)
        return page

    async def _find(self, ticket: Ticket, network: str) -> OrderPage | None:
        digests = self.keyring.digests("address", network)
        try:
            return await self.database.read(service.open_page, ticket, digests, self.now())
        except service.OrderLinkUnknown:
            return None

    def _page(self, request: Request, page: OrderPage, refused: Row | None = None) -> Response:
        language = _choose_language(request, page.locale)
        order_url = self.links.order(page.store_id, page.order_id, page.link_generation)
        wanted = request.query_params.get("lang")
        settings = page.settings
        html = _ORDER.render(
            page=page,
            path=urlsplit(order_url).path,
            query=f"?lang={wanted}" if wanted in texts.LANGUAGES else "",
            title=settings.title or language.say("title"),
            language=language,
            languages=texts.LANGUAGES.values(),
            accent=_accent(settings),
            logo=_kept_logo(settings),
            highlighted=None if refused is None else refused.uid,
            message=lambda row: _message(row, settings, language),
            facts=lambda row: _facts(row, settings, language),
            zip_facts=_zip_facts(page, language),
        )
        status = HTTPStatus.OK if refused is None or refused.refusal is None else self.statuses[refused.refusal]
        return _reply(html, status, _form_targets(page, order_url))


def _choose_language(request: Request, locale: str | None) -> Language:
    """The language of a page: `?lang=`, else the browser's, else the order's, else English."""
    accepted = ",".join(request.headers.getlist("accept-language"))
    return texts.choose(request.query_params.get("lang"), accepted, locale)


def _lost_page(request: Request) -> Response:
    """404: what to do when a link does not work. It is the same whatever is wrong with the link."""
    html = _LOST.render(language=_choose_language(request, None), accent=None)
    return _reply(html, HTTPStatus.NOT_FOUND)


def _find(page: OrderPage, uid: str) -> Row | None:
    return next((row for row in page.rows if row.uid == uid), None)


def _message(row: Row, settings: StoreSettings, language: Language) -> str:
    """The store's own words, else the language's, else the default of every face."""
    code = row.refusal.value if row.refusal else ""
    return settings.messages.get(code) or language.refusals.get(code) or row.message or ""


def _facts(row: Row, settings: StoreSettings, language: Language) -> list[str]:
    """Size, uses left, and the times between which the grant may be used."""
    facts = [language.size(row.size_bytes) if row.size_bytes is not None else row.size_text]
    facts.append(language.say("resumable") if row.is_resumable else language.uses(row.used, row.limit))
    times = {"release": row.release_at if row.refusal is Refusal.NOT_YET_AVAILABLE else None, "until": row.expires_at}
    for key, at in times.items():
        moment = None if at is None else language.time(at, settings.timezone)
        facts.append(None if moment is None else language.say(key, time=moment))
    return [fact for fact in facts if fact]


def _zip_facts(page: OrderPage, language: Language) -> list[str]:
    """What stands beside the button for all files: their size, and what it costs. Nothing: there is no such button."""
    if page.is_zip_open:
        return [language.say("resumable")]
    files = page.zip_files
    if len(files) < _WORTH_A_ZIP:
        return []
    size = language.size(sum(row.size_bytes or 0 for row in files))
    is_counted = any(row.limit is not None for row in files)
    return [size, language.say("all_costs", count=language.number(len(files)))] if is_counted else [size]


def _accent(settings: StoreSettings) -> dict[str, str] | None:
    return None if settings.accent is None else {"light": settings.accent, "dark": dark_pair(settings.accent)}


def _kept_logo(settings: StoreSettings) -> tuple[bytes, str] | None:
    """The digest and the type of the logo; a path that was set before pictures were kept is none."""
    found = _LOGO.fullmatch(settings.logo or "")
    return None if found is None else (bytes.fromhex(found[1]), LOGO_TYPES[found[2]])


def _form_targets(page: OrderPage, order_url: str) -> str:
    """Where the page's forms may lead: to us, and where a link is offered, on to wherever it leads.

    Browsers hold a form to this over every redirect, and a link's own redirects (of a shortener, from http to https)
    are not ours to know: the schemes are named, not the hosts.
    """
    parts = urlsplit(order_url)
    schemes = {urlsplit(row.link_url or "").scheme for row in page.rows if row.is_link and row.refusal is None}
    if schemes:
        schemes.add("https")
    return " ".join(["'self'", f"{parts.scheme}://{parts.netloc}", *sorted(f"{scheme}:" for scheme in schemes)])


def _reply(html: str, status: int, form_targets: str = "'none'") -> Response:
    style = _STYLE.search(html)
    digest = base64.b64encode(hashlib.sha256(style[1].encode() if style else b"").digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src 'self'; form-action {form_targets}; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    return Response(html, status, _GUARDED | {"content-security-policy": policy}, media_type="text/html")


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


_TEMPLATES: Final = _environment()
_ORDER: Final = _TEMPLATES.get_template("order.html")
_LOST: Final = _TEMPLATES.get_template("lost.html")
