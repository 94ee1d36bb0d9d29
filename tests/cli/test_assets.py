from pathlib import Path

import pytest

from carryout.cli.program import FAILED, MISUSED
from tests.cli.conftest import STORE
from tests.world.program import Cli

RED, ORANGE = "FILM-RED", "GUIDE-ORANGE"


def _grants(shop: Cli, number: str) -> dict[str, str]:
    shown = shop.ok("order", "show", number, *STORE, "--json").json
    return {grant["filename"]: grant["verdict"] for grant in shown["grants"]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "new.txt"
    path.write_text("new")
    return path


def test_files_reach_who_bought_before(shop: Cli, file: Path) -> None:
    (file.parent / "empty.bin").touch()
    rows = shop.ok("asset", "add", *STORE, file, file.parent / "empty.bin", "--sku", RED, "--json").json
    assert [(row["filename"], row["size"], row["is_file"]) for row in rows] == [
        ("new.txt", 3, True),
        ("empty.bin", 0, True),
    ]
    assert _grants(shop, "1053").items() >= {"new.txt": "allowed", "empty.bin": "allowed"}.items()


def test_nothing_half_done_is_left(shop: Cli, file: Path) -> None:
    before = sorted((shop.folder / "data" / "files").rglob("*"))
    for words in (
        [file, "missing"],
        [file, file.parent],
        [file, "--sku", "NONE"],
        [file, "--sku", RED, "--sku", "NONE"],
    ):
        outcome = shop("asset", "add", *STORE, *words)
        assert (outcome.code, outcome.stderr.count("\n")) == (FAILED, 1)
    assert sorted((shop.folder / "data" / "files").rglob("*")) == before
    assert len(shop.ok("asset", "list", *STORE, "--json").json) == 5


def test_a_plan_holds_so_many_bytes_and_not_one_more(shop: Cli, tmp_path: Path) -> None:
    used = sum(row["size"] or 0 for row in shop.ok("asset", "list", *STORE, "--json").json)
    (shop.folder / "carryout.toml").write_text(f"[plans.premium]\nstorage_bytes = {used + 4000}\n")
    (tmp_path / "fits.bin").write_bytes(b"f" * 3000)
    (tmp_path / "more.bin").write_bytes(b"m" * 1001)
    before = sorted((shop.folder / "data" / "files").rglob("*"))
    both = shop("asset", "add", *STORE, tmp_path / "fits.bin", tmp_path / "more.bin")
    assert (both.code, both.stdout) == (FAILED, "")
    assert "another 4KB is too much" in both.stderr
    assert sorted((shop.folder / "data" / "files").rglob("*")) == before
    shop.ok("asset", "add", *STORE, tmp_path / "fits.bin")
    assert shop("asset", "add", *STORE, tmp_path / "more.bin").code == FAILED
    (tmp_path / "more.bin").write_bytes(b"m" * 1000)
    shop.ok("asset", "add", *STORE, tmp_path / "more.bin")


def test_a_link_has_a_name(shop: Cli) -> None:
    assert shop("asset", "add", *STORE, "--link", "https://example.com/x").code == MISUSED
    assert shop("asset", "add", *STORE).code == MISUSED
    [row] = shop.ok("asset", "add", *STORE, "--link", "https://example.com/x", "--name", "X", "--json").json
    assert (row["filename"], row["is_file"], row["size"], row["url"]) == ("X", False, None, "https://example.com/x")


def test_an_asset_is_attached_and_detached(shop: Cli, file: Path) -> None:
    [row] = shop.ok("asset", "add", *STORE, file, "--json").json
    order = shop.ok("order", "show", "1065", *STORE, "--json").json
    words = (
        row["id"],
        *STORE,
        "--variant",
        "50398373085484",
        "--product",
        "9797441945900",
        "--order",
        "1065",
        "--json",
    )
    assert shop.ok("asset", "attach", *words).json == {
        "attached": True,
        "asset_id": row["id"],
        "product_ids": [9782123692332, 9797441945900],
        "variant_ids": [50398373085484],
        "order_ids": [order["id"]],
    }
    assert "new.txt" in _grants(shop, "1065")
    assert shop.ok("asset", "detach", *words).json["attached"] is False
    assert "new.txt" in _grants(shop, "1065")
    shop.ok("asset", "attach", *words)
    shop.ok("asset", "detach", *words, "--revoke")
    assert "new.txt" not in _grants(shop, "1065")


def test_new_orders_alone_are_reached_when_asked(shop: Cli, file: Path) -> None:
    [row] = shop.ok("asset", "add", *STORE, file, "--json").json
    shop.ok("asset", "attach", row["id"], *STORE, "--sku", ORANGE, "--applies-to", "new")
    assert "new.txt" not in _grants(shop, "1053")
    assert shop("asset", "attach", row["id"], *STORE).code == MISUSED


def test_limits_are_set_all_or_none(shop: Cli) -> None:
    asset = shop.ok("asset", "list", *STORE, "--json").json[0]["id"]
    assert shop("asset", "set", asset, *STORE, "downloads=2", "expires_days=never").code == FAILED
    changed = shop.ok("asset", "set", asset, *STORE, "release_at=2027-01-01T00:00:00Z", "--json").json
    assert (changed["downloads"], changed["release_at"]) == (None, "2027-01-01T00:00:00Z")
