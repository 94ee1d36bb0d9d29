import pytest
from cyclopts import CycloptsError

from carryout.cli.output import moment, pairs, print_facts, print_table, shown


def test_a_table_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([{"id": 1, "file_name": "a"}, {"id": 20, "file_name": None}], ("id", "file_name"))
    assert capsys.readouterr().out == "id  file name\n1   a\n20  -\n"


def test_facts_are_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts({"id": 1, "is_file": True})
    assert capsys.readouterr().out == "id       1\nis file  yes\n"


def test_nothing_shown_can_command_a_terminal() -> None:
    assert shown("a\x1b[31m\nb") == "a [31m b"


def test_pairs_keep_what_follows_the_first_sign() -> None:
    assert pairs(["message.expired=a=b", "title="]) == [("message.expired", "a=b"), ("title", "")]


@pytest.mark.parametrize("words", [[], ["title"], ["=x"]])
def test_what_is_no_pair_is_a_wrong_call(words: list[str]) -> None:
    with pytest.raises(CycloptsError):
        pairs(words)


def test_a_time_without_an_offset_is_a_wrong_call() -> None:
    assert moment("1970-01-01T01:00:00+01:00") == 0
    with pytest.raises(CycloptsError):
        moment("1970-01-01T01:00:00")
