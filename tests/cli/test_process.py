import json
from pathlib import Path

from tests.cli.running_program import started


def test_an_application_that_will_not_start_says_why_in_one_line(tmp_path: Path) -> None:
    with started(tmp_path, FAIL="by design") as program:
        assert program.end() == (1, "The schema is wrong. Run `carryout migrate`.\n")


def test_an_application_that_breaks_at_the_start_leaves_one_record_and_a_line(tmp_path: Path) -> None:
    with started(tmp_path, FAIL="by accident") as program:
        code, said = program.end()

    record, line = said.splitlines()
    assert code == 1
    assert json.loads(record)["exception"][0]["exc_type"] == "ZeroDivisionError"
    assert line == "Carryout did not start; the reason is in the log above."
