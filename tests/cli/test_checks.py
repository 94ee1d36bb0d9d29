import socket

import pytest

from carryout.cli.program import FAILED
from tests.world.program import Cli


def _failed(rows: list[dict[str, object]]) -> list[object]:
    return [row["name"] for row in rows if not row["ok"]]


def test_a_sound_installation_passes(cli: Cli) -> None:
    rows = cli.ok("check", "--json").json
    assert [row["name"] for row in rows] == ["settings", "database", "storage", "signing", "secret keys", "mail"]
    assert {name for row in rows for name in row} == {"name", "ok", "detail"}
    assert _failed(rows) == []
    lines = cli.ok("check").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["ok"] * len(rows)


def test_a_missing_key_is_found(shop: Cli) -> None:
    outcome = shop("check", "--json", CARRYOUT_SECRET_KEY="another secret key than before")
    assert outcome.code == FAILED
    assert _failed(outcome.json) == ["secret keys"]
    assert outcome.stderr == "1 of the checks failed.\n"


def test_what_cannot_work_is_named(empty: Cli) -> None:
    assert _failed(empty("check", "--json", CARRYOUT_LOG_LEVEL="loud").json) == ["settings"]
    assert _failed(empty("check", "--json", CARRYOUT_DATABASE_URL="postgresql://127.0.0.1:1/none").json) == ["database"]
    (empty.folder / "file").touch()
    assert _failed(empty("check", "--json", CARRYOUT_STORAGE_URL="file://file").json) == ["storage"]


def test_online_asks_the_mail_server(empty: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    settings = {"CARRYOUT_SMTP_URL": f"smtp://user:hidden@127.0.0.1:{port}", "CARRYOUT_MAIL_FROM": "shop@example.com"}
    assert empty("check", "--json", **settings).code == 0
    outcome = empty("check", "--online", **settings)
    assert outcome.code == FAILED
    assert "FAILED  mail" in outcome.stdout
    assert "hidden" not in outcome.stdout + outcome.stderr


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("storage_url", ["swift"], indirect=True)
def test_a_bucket_is_tried_end_to_end(cli: Cli, storage_url: str) -> None:
    rows = {row["name"]: row["detail"] for row in cli.ok("check", "--json").json}
    assert rows["storage"] == f"wrote, read and deleted a file in {storage_url}"
    wrong = cli("check", "--json", AWS_SECRET_ACCESS_KEY="wrong")
    assert wrong.code == FAILED
    assert _failed(wrong.json) == ["storage"]
    assert "403" in wrong.stdout
