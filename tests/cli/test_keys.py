from carryout.cli.program import FAILED, MISUSED
from tests.cli.conftest import STORE
from tests.world.program import Cli


def test_a_key_is_shown_once_and_can_be_revoked(shop: Cli) -> None:
    made = shop.ok("key", "create", *STORE, "--name", "script", "--scopes", "read", "--json").json
    assert made["key"].startswith("co_")
    listing = shop.ok("key", "list", "--json")
    assert made["key"] not in listing.stdout
    assert [key["name"] for key in listing.json] == ["demo", "script"]
    assert shop.ok("key", "revoke", made["id"], "--json").json["revoked_at"] is not None


def test_a_wrong_key_is_refused(shop: Cli) -> None:
    assert shop("key", "create", *STORE, "--expires-at", "tomorrow").code == MISUSED
    assert shop("key", "create", *STORE, "--expires-at", "2020-01-01T00:00:00Z").code == FAILED
    assert shop("key", "create", *STORE, "--dialect", "older").code == MISUSED
    assert shop("key", "revoke", "nothing").stderr == "There is no key nothing.\n"
