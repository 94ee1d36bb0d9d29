from pathlib import Path

from carryout.cli.program import FAILED, MISUSED
from tests.cli.conftest import STORE
from tests.world.program import Cli

PAYLOADS = Path(__file__).parents[2] / "src" / "carryout" / "cli" / "demo_data"


def test_a_file_is_taken_in_once(shop: Cli) -> None:
    file = PAYLOADS / "order-1053.json"
    words = ("ingest", *STORE, "--topic", "orders/updated", file, "--json")
    assert shop.ok(*words).json == [{"file": str(file), "topic": "orders/updated", "outcome": "applied"}]
    assert shop.ok(*words).json[0]["outcome"] == "duplicate"


def test_what_cannot_be_applied_is_kept_and_tried_again(shop: Cli, tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_text('{"id": "odd"}')
    (tmp_path / "cut.json").write_text('{"id":')
    outcome = shop("ingest", *STORE, "--topic", "orders/paid", "cut.json", "odd.json", "--json")
    assert outcome.code == FAILED
    assert [row["outcome"] for row in outcome.json] == ["not_json", "parked"]
    assert [row["outcome"] for row in shop.ok("ingest", "--retry", "--json").json] == ["parked"]


def test_files_need_a_store_and_a_topic(empty: Cli) -> None:
    assert empty("ingest", "file").code == MISUSED
    assert empty("ingest", "--retry", "file").code == MISUSED
