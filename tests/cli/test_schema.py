import pytest

from carryout.cli.program import FAILED
from carryout.db.migrate import newest
from tests.world.program import Cli


def test_an_embedded_database_is_made(empty: Cli) -> None:
    assert empty.ok("migrate", "--json").json == {"from": 0, "to": newest()}
    assert "already" in empty.ok("migrate").stdout


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
def test_a_server_database_is_only_migrated_when_asked(empty: Cli, empty_url: str) -> None:
    refused = empty("store", "list", CARRYOUT_DATABASE_URL=empty_url)
    assert refused.code == FAILED
    assert "Run `carryout migrate` first." in refused.stderr
    empty.ok("migrate", CARRYOUT_DATABASE_URL=empty_url)
    assert empty.ok("store", "list", "--json", CARRYOUT_DATABASE_URL=empty_url).json == []
