from collections.abc import Callable

from carryout.cli.program import FAILED
from tests.cast import MIRA
from tests.world.program import Cli, Server


def test_a_store_is_made_shown_and_changed(cli: Cli) -> None:
    made = cli.ok("store", "create", MIRA.name, "--domain", MIRA.domain, "--json").json
    assert {"id", "name", "domain", "webhook_secret", "plan", "settings"} <= made.keys()
    assert made["plan"] == "premium"
    assert cli.ok("store", "show", made["id"], "--json").json == made
    changed = cli.ok("store", "set", MIRA.domain, "download_limit=3", "message.expired=Zu spät", "--json").json
    assert changed["settings"]["download_limit"] == 3
    assert changed["settings"]["message.expired"] == "Zu spät"
    [listed] = cli.ok("store", "list", "--json").json
    assert (listed["id"], listed["webhook_secret"]) == (made["id"], None)


def test_a_given_secret_is_kept_and_a_domain_is_taken_once(empty: Cli) -> None:
    words = ("store", "create", MIRA.name, "--domain", MIRA.domain, "--webhook-secret", MIRA.webhook_secret)
    assert empty.ok(*words, "--json").json["webhook_secret"] == MIRA.webhook_secret
    again = empty(*words)
    assert (again.code, again.stdout) == (FAILED, "")
    assert again.stderr == f"There is a store with the domain {MIRA.domain} already.\n"


def test_limits_reach_existing_orders_when_asked(shop: Cli) -> None:
    shop.ok("store", "set", "demo-shop.myshopify.com", "download_limit=7")
    show = ("order", "show", "1071", "--store", "demo-shop.myshopify.com", "--json")
    assert [grant["limit"] for grant in shop.ok(*show).json["grants"]] == [None, None]
    shop.ok("store", "set", "demo-shop.myshopify.com", "download_limit=8", "--apply-to-existing")
    assert [grant["limit"] for grant in shop.ok(*show).json["grants"]] == [8, 8]


def test_a_plan_is_one_of_those_there_are(empty: Cli) -> None:
    outcome = empty("store", "create", MIRA.name, "--domain", MIRA.domain, "--plan", "gold")
    assert outcome.code == FAILED
    assert outcome.stderr == "There is no plan gold; the plans are free, basic, growth, premium.\n"


def test_a_plan_says_what_a_store_may_set(shop: Cli) -> None:
    store = "demo-shop.myshopify.com"
    shop.ok("store", "set", store, "fraud_block=high")
    smaller = shop.ok("store", "set", store, "plan=free", "--json").json
    assert (smaller["settings"]["fraud_block"], smaller["withheld"]) == ("none", {"fraud_block": "high"})
    assert "fraud_block=high" in shop.ok("store", "show", store).stdout
    refused = shop("store", "set", store, "fraud_block=medium")
    assert (refused.code, refused.stdout) == (FAILED, "")
    assert refused.stderr == "The plan free does not include fraud_block=medium.\n"


def test_a_server_applies_the_plans_of_the_file(shop: Cli, server_of: Callable[[Cli], Server]) -> None:
    store = "demo-shop.myshopify.com"
    shop.ok("store", "set", store, "fraud_block=high")
    (shop.folder / "carryout.toml").write_text("[plans.premium]\nfraud_block = false\n")
    server_of(shop)
    assert shop.ok("store", "show", store, "--json").json["settings"]["fraud_block"] == "none"


def test_a_wrong_value_is_named(shop: Cli) -> None:
    outcome = shop("store", "set", "demo-shop.myshopify.com", "download_limit=-1")
    assert outcome.code == FAILED
    assert outcome.stderr.startswith("download_limit must be a whole number")
