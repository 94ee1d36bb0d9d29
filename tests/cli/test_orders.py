from typing import Any

import pytest

from carryout.cli.program import FAILED
from tests.cli.conftest import STORE
from tests.world.program import Cli


def _order(shop: Cli, verb: str, *words: str) -> Any:
    return shop.ok("order", verb, "1053", *STORE, *words, "--json").json


def test_an_order_is_shown_with_its_grants(shop: Cli) -> None:
    shown = _order(shop, "show")
    assert {"id", "order_number", "standing", "blocked", "page_url", "grants"} <= shown.keys()
    assert (shown["order_number"], shown["standing"], shown["blocked"]) == (1053, "paid", False)
    assert {"id", "asset_id", "filename", "used", "limit", "url", "verdict"} <= shown["grants"][0].keys()
    assert [grant["verdict"] for grant in shown["grants"]] == ["allowed"] * 4
    for name in (shown["id"], "6198424240428", "#1053"):
        assert shop.ok("order", "show", name, *STORE, "--json").json == shown


def test_a_block_holds_until_it_is_lifted(shop: Cli) -> None:
    assert {grant["verdict"] for grant in _order(shop, "block")["grants"]} == {"access_blocked"}
    assert {grant["verdict"] for grant in _order(shop, "unblock")["grants"]} == {"allowed"}


def test_revoked_links_are_replaced(shop: Cli) -> None:
    before, after = _order(shop, "show"), _order(shop, "revoke-links")
    assert before["page_url"] != after["page_url"]
    assert before["grants"][0]["url"] != after["grants"][0]["url"]


def test_limits_of_an_order_come_and_go(shop: Cli) -> None:
    shown = _order(shop, "set", "downloads=0", "expires_at=2020-01-01T00:00:00Z")
    assert {grant["verdict"] for grant in shown["grants"]} == {"expired"}
    shown = _order(shop, "set", "expires_at=none", "downloads=2")
    assert {grant["limit"] for grant in shown["grants"]} == {2}
    shown = _order(shop, "set", "downloads=default")
    assert sorted({grant["limit"] or 0 for grant in shown["grants"]}) == [0, 5]


@pytest.mark.parametrize("word", ["downloads=-1", "downloads=many", "expires_at=2020-01-01", "colour=red"])
def test_a_wrong_limit_is_named(shop: Cli, word: str) -> None:
    outcome = shop("order", "set", "1053", *STORE, word)
    assert outcome.code == FAILED
    assert outcome.stderr.startswith(word.partition("=")[0])


def test_an_unknown_order_is_one_line(shop: Cli) -> None:
    assert shop("order", "show", "99", *STORE).stderr == "There is no order 99 in this store.\n"
    assert shop("order", "show", "1053", "--store", "other.myshopify.com").code == FAILED


def test_explain_tells_each_rule_of_each_grant(shop: Cli) -> None:
    shop.ok("order", "block", "1053", *STORE)
    explained = shop.ok("explain", "1053", *STORE, "--json").json
    assert explained["order_number"] == 1053
    grant = explained["grants"][0]
    assert grant["verdict"] == "access_blocked"
    assert [rule["code"] for rule in grant["rules"] if rule["holds"]] == ["access_blocked"]
    assert {"code", "holds", "fact", "remedy"} == grant["rules"][0].keys()
    assert "access_blocked" in shop.ok("explain", "1053", *STORE).stdout
