from hypothesis import given
from hypothesis import strategies as st

from carryout.downloads.tally import Portion, Tally
from carryout.sessions.model import Progress


def test_transfers_side_by_side_do_not_pass_the_budget_together() -> None:
    tally = Tally([100], 0)
    first, second = tally.reserve(0, 0, 70), tally.reserve(0, 500, 70)
    assert (first, second) == (Portion(0, 0, 70), Portion(0, 500, 530))
    assert tally.reserve(0, 600, 1).size_bytes == 0
    tally.release(second)
    assert tally.reserve(0, 600, 70).size_bytes == 30


def test_what_was_delivered_is_taken_once() -> None:
    tally = Tally([100, 100], 0)
    for position, start in [(0, 0), (1, 20), (0, 10)]:
        tally.deliver(tally.reserve(position, start, 10))
    assert tally.has_news
    assert tally.take() == [Progress(0, 20, ((0, 20),)), Progress(1, 10, ((20, 30),))]
    assert tally.take() == []


def test_a_part_without_bytes_is_news_too() -> None:
    tally = Tally([0], 0)
    tally.deliver(Portion(0, 0, 0))
    assert tally.take() == [Progress(0, 0, ())]


def test_what_could_not_be_recorded_is_taken_again_with_what_came_after() -> None:
    tally = Tally([100], 0)
    tally.deliver(tally.reserve(0, 0, 10))
    taken = tally.take()
    tally.deliver(tally.reserve(0, 10, 5))
    assert tally.at_risk_bytes == 15
    tally.put_back(taken)
    assert tally.at_risk_bytes == 15
    assert tally.take() == [Progress(0, 15, ((0, 15),))]


def test_what_other_processes_sent_is_known_once_something_is_recorded() -> None:
    tally = Tally([100], 0)
    tally.deliver(tally.reserve(0, 0, 10))
    tally.take()
    under_way = tally.reserve(0, 10, 5)
    tally.deliver(tally.reserve(0, 20, 5))
    tally.settle([40])
    assert tally.at_risk_bytes == 5
    assert tally.reserve(0, 0, 100).size_bytes == 30
    tally.release(under_way)
    assert tally.reserve(0, 0, 100).size_bytes == 5


def test_a_session_that_is_gone_has_nothing_left_to_settle() -> None:
    tally = Tally([100], 0)
    tally.settle([])
    assert tally.reserve(0, 0, 10).size_bytes == 10


def test_what_is_of_no_part_has_an_end_too() -> None:
    tally = Tally([], 10)
    assert [tally.spend_literal(4) for _ in range(3)] == [True, True, False]


@given(st.lists(st.tuples(st.sampled_from(["deliver", "release", "fail", "record"]), st.integers(0, 60)), max_size=30))
def test_nothing_is_counted_twice_or_forgotten(steps: list[tuple[str, int]]) -> None:
    budget = 300
    tally = Tally([budget], 0)
    recorded = delivered = 0
    for step, size_bytes in steps:
        if step == "fail":
            tally.put_back(tally.take())
        elif step == "record":
            recorded += sum(progress.sent_bytes for progress in tally.take())
            tally.settle([budget - recorded])
        else:
            portion = tally.reserve(0, delivered, size_bytes)
            assert portion.size_bytes <= budget - delivered
            if step == "deliver":
                tally.deliver(portion)
                delivered += portion.size_bytes
            else:
                tally.release(portion)
        assert recorded + tally.at_risk_bytes == delivered <= budget
