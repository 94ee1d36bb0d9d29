import json
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from carryout.catalog import service as catalog
from carryout.catalog.model import ProductFacts
from carryout.db import Tx
from carryout.orders import service as orders
from carryout.orders.model import LineFacts, Person, Standing
from tests.cast import BEA, NOW, OTHER
from tests.downloads.fetching import fetch
from tests.merchants.makers import make_store
from tests.orders.makers import SONG_LINE, TIP_LINE, make_order
from tests.storefront.house import House, running_house

PATH: Final = "/api/v2/customer-account-orders"
UNKNOWN: Final = "0c732eb6fd9802a0821a9d29888baee8"
SHARED: Final = {
    "access-control-allow-origin": "*",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
# The example of the Fileflare API's documentation, as it stands there.
DOCUMENTED: Final = """{
  "order": {
    "order_number": 1050,
    "lines": [
      {
        "product": {
          "id": "82664d96-6dfd-4343-96b0-05c46f412a5a",
          "name": "My new Book", "variant_name": "Paper back", "sku": "my-sku",
          "product_id": 123456, "variant_id": 1234567,
          "vendor": "my-store", "tags": ["books", "paper-books"]
        },
        "assets": [
          {
            "limits": {"downloaded": 5, "limit": 10},
            "data": {
              "id": "82664d96-6dfd-4343-96b0-05c46f412a5b",
              "filename": "My new book", "size": "10MB",
              "is_file": false, "is_link": true,
              "url": "https://www.my-website.com/download/my-book.pdf"
            }
          }
        ]
      }
    ],
    "assets": [],
    "text": {"title": "Download files for your orders", "text": null}
  }
}"""
NEW_BOOK: Final = ProductFacts(
    product_id=123456,
    variant_id=1234567,
    name="My new Book",
    variant_name="Paper back",
    sku="my-sku",
    vendor="my-store",
    tags=("books", "paper-books"),
    updated_at=NOW,
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with running_house(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture(autouse=True)
def _as_it_was(house: House) -> Iterator[None]:
    before = house.store.settings
    yield
    if house.store.settings != before or house.store.plan != "premium":
        house.set(download_limit="none", expose_link_targets="off", plan="premium", title="", text="")


def ask(house: House, token: str, **options: Any) -> httpx.Response:
    return house.get(PATH, params={"id": token}, **options)


def asset_of(response: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = response.json()["order"]["assets"][0]
    return found


# ── what is answered


def test_the_documented_example_is_answered_to_the_key_and_the_type(house: House) -> None:
    house.set(download_limit="10")
    asset = house.link("https://www.my-website.com/download/my-book.pdf", "My new book")

    async def sell(tx: Tx) -> None:
        await catalog.record_products(tx, house.store.id, [NEW_BOOK])
        await catalog.attach(tx, house.store.id, asset.id, skus=["my-sku"], now=NOW)

    house.write(sell)
    line = LineFacts(line_item_id=1, position=0, product_id=123456, variant_id=1234567, name="My new Book")
    _, token = house.order(order_number=1050, lines=(line,))
    for number in range(1, 6):
        counted = ask(house, token).json()["order"]["lines"][0]["assets"][0]["data"]["url"]
        assert house.get(counted, address=f"127.0.0.{number}").status_code == 302
    house.set(expose_link_targets="on")
    reply = ask(house, token).json()
    expected = json.loads(DOCUMENTED)
    expected["text"] = expected["order"]["text"]
    expected["order"]["lines"][0]["assets"][0]["data"]["id"] = asset.uid
    product = reply["order"]["lines"][0]["product"]
    assert isinstance(product["id"], str)
    assert len(product["id"]) == 36
    expected["order"]["lines"][0]["product"]["id"] = product["id"]
    assert json.dumps(reply) == json.dumps(expected)


def test_a_file_has_its_counted_link_and_its_size_in_words(house: House) -> None:
    asset = house.file(b"x" * 2000, "Buch & Söhne.epub")
    _, token = house.order(asset)
    data = asset_of(ask(house, token))["data"]
    assert data.pop("url").startswith(f"{house.server.base_url}/d/")
    assert data == {
        "id": asset.uid,
        "filename": "Buch & Söhne.epub",
        "size": "2KB",
        "is_file": True,
        "is_link": False,
    }


def test_an_order_without_files_is_listed_with_empty_assets(house: House) -> None:
    _, token = house.order(lines=(SONG_LINE, TIP_LINE))
    reply = ask(house, token).json()
    assert [line["assets"] for line in reply["order"]["lines"]] == [[], []]
    assert reply["order"]["lines"][1]["product"] == {
        "id": None,
        "name": "Tip",
        "variant_name": None,
        "sku": None,
        "product_id": None,
        "variant_id": None,
        "vendor": None,
        "tags": None,
    }


def test_ids_of_64_bits_are_exact(house: House) -> None:
    big = 2**63 - 1
    _, token = house.order(lines=(LineFacts(line_item_id=1, position=0, product_id=big, variant_id=big, name="Big"),))
    assert f'"variant_id":{big}' in ask(house, token).text


def test_the_stores_text_stands_in_both_places(house: House) -> None:
    house.set(title="Deine Dateien", text="Viel Freude damit!")
    _, token = house.order()
    reply = ask(house, token).json()
    assert reply["text"] == reply["order"]["text"] == {"title": "Deine Dateien", "text": "Viel Freude damit!"}


def test_a_refused_grant_stays_with_its_reason_and_without_its_link(house: House) -> None:
    order, token = house.order(house.file(b"1"), standing=Standing.PENDING)
    house.set(expose_link_targets="on")
    house.write(orders.set_terms, house.store.id, order, {"downloads": 0})
    entry = asset_of(ask(house, token))
    assert list(entry) == ["limits", "data", "refusal"]
    assert entry["limits"] == {"downloaded": 0, "limit": 0}
    assert entry["data"]["url"] is None
    assert entry["refusal"]["code"] == "order_not_paid"
    assert entry["refusal"]["message"]


def test_a_refused_link_does_not_show_its_target(house: House) -> None:
    house.set(expose_link_targets="on")
    order, token = house.order(house.link())
    house.write(orders.block, house.store.id, order.id, NOW)
    response = ask(house, token)
    assert "my-website" not in response.text
    assert asset_of(response)["refusal"]["code"] == "access_blocked"


def test_revoked_links_are_handed_out_anew(house: House) -> None:
    order, token = house.order(house.file(b"1"))
    before = asset_of(ask(house, token))["data"]["url"]
    house.write(orders.revoke_links, house.store.id, order.id)
    after = asset_of(ask(house, token))["data"]["url"]
    assert (house.get(before).status_code, fetch(house, after).status_code) == (404, 200)


def test_nothing_personal_is_answered(house: House) -> None:
    order, token = house.order(house.file(b"1"), person=Person(BEA.email, "Beatrix Buyer", 191_167))
    response = ask(house, token)
    told = (response.text + str(response.headers)).lower()
    for personal in (BEA.email, "beatrix", "191167", token, order.uid, "127.0.0.1:0", str(house.url)):
        assert personal.lower() not in told


# ── who is answered


def known_paths(token: str) -> dict[str, str]:
    account = f"https://my-store.com/account/orders/{token}"
    return {
        "unknown": f"id={UNKNOWN}",
        "empty": "id=",
        "upper case": f"id={token.upper()}",
        "spaces": f"id=%20{token}%20",
        "plus": f"id={token}+",
        "newline": f"id={token}%0a",
        "NUL": f"id={token}%00",
        "invalid UTF-8": "id=%ff%c0%af",
        "broken escape": f"id={token}%zz",
        "an address": f"id={account}",
        "an escaped address": f"id={account.replace(':', '%3A').replace('/', '%2F')}",
        "10 kB": "id=" + "a" * 10_000,
        "another shop": f"id={token}&shop=unknown.myshopify.com",
        "no shop": f"id={token}&shop=",
        "odd shop": f"id={token}&shop=%00%ff",
        "SQL": "id=' OR 1=1 --".replace(" ", "%20"),
        "cut": f"id={token[:-1]}",
    }


@pytest.mark.parametrize("case", known_paths(UNKNOWN))
def test_every_wrong_token_gets_the_same_bytes(house: House, case: str) -> None:
    _, token = house.order(token=f"abcdef{len(case):026x}")
    unknown = house.get(f"{PATH}?id={UNKNOWN}")
    wrong = house.get(f"{PATH}?{known_paths(token)[case]}")
    assert (unknown.status_code, wrong.status_code) == (404, 404)
    assert wrong.content == unknown.content
    ignored = {"date", "x-request-id"}
    assert {k: v for k, v in wrong.headers.items() if k not in ignored} == {
        k: v for k, v in unknown.headers.items() if k not in ignored
    }


@pytest.mark.parametrize("name", ["order_id", "order_number", "name", "email", "checkout_token", "cart_token", "key"])
def test_nothing_else_is_accepted_in_place_of_the_id(house: House, name: str) -> None:
    _, token = house.order()
    assert house.get(f"{PATH}?{name}={token}").status_code == 422


def test_raw_bytes_in_the_query_are_no_order(house: House) -> None:
    reply = house.raw(b"GET " + PATH.encode() + b"?id=\xff\xfe HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert reply.split(b" ")[1] in (b"404", b"400")


@pytest.mark.parametrize(
    "query", ["", "?", "?shop=mira.myshopify.com", "?ID=1", "?id=1&id=1", "?id=1&%69d=2", "?id=1&shop=a&shop=b"]
)
def test_a_missing_or_doubled_parameter_is_unprocessable(house: House, query: str) -> None:
    response = house.get(PATH + query)
    assert response.status_code == 422
    assert response.json()["message"]
    assert SHARED.items() <= dict(response.headers).items()


def test_further_parameters_and_escapes_do_no_harm(house: House) -> None:
    _, token = house.order(order_number=77)
    escaped = "".join(f"%{ord(letter):02x}" for letter in token)
    for query in (
        f"id={token}&utm_source=mail",
        f"a=b&id={escaped}",
        f"id={token}&shop=MIRA.myshopify.com",
        f"id={token}&",
    ):
        assert house.get(f"{PATH}?{query}").json()["order"]["order_number"] == 77


def test_a_token_of_two_stores_is_the_first_ones_and_the_others_with_its_shop(house: House) -> None:
    _, token = house.order(order_number=1)

    async def sell_elsewhere(tx: Tx) -> None:
        other = await make_store(tx, OTHER)
        await make_order(tx, other, token=token, order_number=2)

    house.write(sell_elsewhere)
    assert ask(house, token).json()["order"]["order_number"] == 1
    named = house.get(PATH, params={"id": token, "shop": OTHER.domain})
    assert named.json()["order"]["order_number"] == 2


def test_a_plan_without_customer_account_links_is_payment_required(house: House) -> None:
    _, token = house.order()
    house.set(plan="free")
    response = ask(house, token)
    assert response.status_code == 402
    assert response.json()["message"]
    assert SHARED.items() <= dict(response.headers).items()
    assert ask(house, UNKNOWN).status_code == 404


# ── HTTP


def test_every_answer_may_be_read_anywhere_and_is_stored_nowhere(house: House) -> None:
    _, token = house.order()
    for response in (ask(house, token), ask(house, UNKNOWN), house.request("POST", PATH)):
        assert SHARED.items() <= dict(response.headers).items()
        assert response.headers["content-type"] == "application/json"
        assert "access-control-allow-credentials" not in response.headers
        assert "set-cookie" not in response.headers


@pytest.mark.parametrize("query", ["", f"?id={UNKNOWN}"])
def test_options_is_answered_to_anyone(house: House, query: str) -> None:
    preflight = {"origin": "https://shop.example", "access-control-request-method": "GET"}
    response = house.request("OPTIONS", PATH + query, headers=preflight)
    assert (response.status_code, response.content) == (204, b"")
    assert SHARED.items() <= dict(response.headers).items()
    assert "GET" in response.headers["access-control-allow-methods"]


def test_head_tells_the_same_without_a_body(house: House) -> None:
    _, token = house.order()
    for query, status in ((f"?id={token}", 200), (f"?id={UNKNOWN}", 404), ("", 422)):
        got, head = house.get(PATH + query), house.request("HEAD", PATH + query)
        assert (head.status_code, head.content) == (status, b"")
        assert head.headers["content-length"] == got.headers["content-length"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE"])
def test_other_methods_are_not_allowed(house: House, method: str) -> None:
    response = house.request(method, PATH)
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("path", [PATH + "/", PATH.upper(), PATH.replace("/v2", "//v2")])
def test_a_path_beside_it_is_not_found_and_leads_nowhere(house: House, path: str) -> None:
    _, token = house.order()
    assert house.get(f"{path}?id={token}").status_code == 404


def test_a_guesser_is_slowed_and_a_hit_always_answers(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_house(tmp_path_factory.mktemp("guessed"), CARRYOUT_GUESS_LIMIT="3") as house:
        _, token = house.order()
        misses = [ask(house, UNKNOWN) for _ in range(5)]
        assert [response.status_code for response in misses] == [404, 404, 404, 429, 429]
        assert 1 <= int(misses[-1].headers["retry-after"]) <= 60
        assert SHARED.items() <= dict(misses[-1].headers).items()
        assert ask(house, token).status_code == 200
        assert ask(house, UNKNOWN, address="127.0.0.9").status_code == 404
        assert house.get("/d/" + "A" * 44 + "/x").status_code == 429
