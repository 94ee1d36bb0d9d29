"""The rules of the house (CONTRIBUTING.md), over every source; and each rule against an example that it must refuse."""

from typing import Final

import pytest

from tests.house import mirror, names, rooms, transactions, words
from tests.house.source import House, Rule, make_house, read_house

RULES: Final = (*names.RULES, *rooms.RULES, *transactions.RULES, *words.RULES, *mirror.RULES)


@pytest.fixture(scope="module")
def house() -> House:
    return read_house()


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_house_keeps_its_rule(rule: Rule, house: House) -> None:
    breaches = list(rule.check(house))
    assert not breaches, "\n".join([f"{rule.sentence}:", *breaches])


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_rule_refuses_its_bad_example(rule: Rule) -> None:
    assert list(rule.check(make_house(rule.refused)))
