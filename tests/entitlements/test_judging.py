from carryout.db import Database
from carryout.entitlements import judging, service
from carryout.merchants.model import MESSAGE_CODES
from tests.cast import NOW
from tests.entitlements.makers import make_world


async def test_explain_lists_every_rule_of_every_grant_and_agrees_with_the_verdict(database: Database) -> None:
    world = await make_world(database, download_limit="0")
    view = await database.read(service.view_by_id, world.store.id, world.order.id)
    (explained,) = judging.explain(view, NOW)
    assert explained.verdict == "download_limit_reached"
    assert [rule.code for rule in explained.rules] == list(MESSAGE_CODES)
    assert [rule.code for rule in explained.rules if rule.holds] == [explained.verdict]
    (judged,) = judging.judge(view, NOW)
    assert (judged.refusal and judged.refusal.value, judged.limit) == (explained.verdict, 0)
