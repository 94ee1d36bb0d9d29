import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from carryout.cli.program import FAILED
from tests.cli.conftest import STORE
from tests.world.program import Cli, Server

ORDER_1065 = 6198821716268


@pytest.fixture
def copied(shop: Cli) -> Cli:
    """A demo beside its backup, `copy.tar`."""
    shop.ok("backup", "copy.tar")
    return shop


def test_a_restored_installation_is_the_same(copied: Cli, server_of: Callable[[Cli], Server], tmp_path: Path) -> None:
    before = copied.ok("order", "show", "1053", *STORE, "--json").json
    files = sorted(path.name for path in (tmp_path / "data" / "files").rglob("*") if path.is_file())
    shutil.rmtree(tmp_path / "data")
    restored = copied.ok("restore", "copy.tar", "--json").json
    assert restored == {"file": "copy.tar", "files": 4, "lost": [], "bucket": None}
    assert copied.ok("order", "show", "1053", *STORE, "--json").json == before
    assert sorted(path.name for path in (tmp_path / "data" / "files").rglob("*") if path.is_file()) == files
    assert copied.ok("check").code == 0
    assert server_of(copied).stop() == 0


def test_nothing_is_overwritten(copied: Cli, server_of: Callable[[Cli], Server], tmp_path: Path) -> None:
    there = copied("restore", "copy.tar")
    assert (there.code, "Move it away first" in there.stderr) == (FAILED, True)
    for path in (tmp_path / "data").glob("carryout.db*"):
        path.unlink()
    (tmp_path / "data" / "secret_key").write_text("a secret of another installation")
    other = copied("restore", "copy.tar")
    assert (other.code, "another secret key" in other.stderr) == (FAILED, True)
    server_of(copied)
    assert "is in use by a running" in copied("restore", "copy.tar").stderr


def test_a_damaged_copy_changes_nothing(copied: Cli, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "data")
    whole = (tmp_path / "copy.tar").read_bytes()
    (tmp_path / "copy.tar").write_bytes(whole[: len(whole) // 2])
    outcome = copied("restore", "copy.tar")
    assert (outcome.code, outcome.stderr.count("\n")) == (FAILED, 1)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["serve.lock"]


def test_who_was_forgotten_since_stays_forgotten(copied: Cli, tmp_path: Path) -> None:
    redaction = {
        "shop_domain": "demo-shop.myshopify.com",
        "customer": {"id": 1, "email": "buyer@example.com"},
        "orders_to_redact": [ORDER_1065],
    }
    (tmp_path / "redaction.json").write_text(json.dumps(redaction))
    copied.ok("ingest", *STORE, "--topic", "customers/redact", "redaction.json")
    data = tmp_path / "data"
    for path in data.glob("carryout.db*"):
        path.unlink()
    copied.ok("restore", "copy.tar")
    assert (data / "redactions.log").read_text().count("customers/redact") == 1
    with closing(sqlite3.connect(data / "carryout.db")) as connection:
        redacted = connection.execute("SELECT shopify_id, person FROM orders WHERE redacted_at IS NOT NULL").fetchall()
    assert redacted == [(ORDER_1065, None)]
