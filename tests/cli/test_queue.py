from carryout.cli.program import FAILED
from tests.cli.conftest import STORE
from tests.world.program import Cli


def test_jobs_are_listed_retried_and_cancelled(shop: Cli) -> None:
    asset = shop.ok("asset", "list", *STORE, "--json").json[0]["id"]
    shop.ok("asset", "attach", asset, *STORE, "--sku", "FILM-RED")
    job = shop.ok("jobs", "list", "--json").json[0]
    assert {"id", "kind", "attempts", "run_at", "outcome"} <= job.keys()
    assert (job["kind"], job["outcome"]) == ("reach_orders", None)
    assert shop.ok("jobs", "cancel", str(job["id"]), "--json").json[0]["outcome"] == "cancelled"
    assert job["id"] not in [row["id"] for row in shop.ok("jobs", "list", "--json").json]
    assert job["id"] in [row["id"] for row in shop.ok("jobs", "list", "--finished", "--json").json]
    assert shop.ok("jobs", "retry", str(job["id"]), "--json").json[0]["outcome"] is None
    assert shop("jobs", "cancel", "999").code == FAILED
