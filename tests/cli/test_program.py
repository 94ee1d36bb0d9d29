import os
import subprocess
import sys
from pathlib import Path

import pytest

from carryout.cli.program import FAILED, MISUSED, make_program, run
from tests.world.program import Cli

COMMANDS = ["serve", "worker", "migrate", "check", "demo", "store", "key", "asset", "order", "explain", "ingest"]
COMMANDS += ["jobs", "backup", "restore", "openapi", "evidence"]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_a_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert f"Usage: carryout {name}" in capsys.readouterr().out


def test_every_command_is_tried_here() -> None:
    program = make_program()
    assert {name for name in program if not name.startswith("-")} == set(COMMANDS)


@pytest.mark.parametrize(
    "words",
    [[], ["store"], ["frob"], ["store", "frob"], ["store", "show"], ["jobs", "retry", "x"], ["migrate", "--wrong"]],
    ids=" ".join,
)
def test_a_wrong_call_is_exit_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == MISUSED
    said = capsys.readouterr()
    assert not words or words == ["store"] or (said.err.count("\n") == 1 and said.out == "")


def test_an_unknown_error_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("carryout.cli.schema.load_settings", lambda: 1 / 0)
    monkeypatch.delenv("CARRYOUT_LOG_LEVEL", raising=False)
    assert run(["migrate"]) == FAILED
    assert "Something went wrong (ZeroDivisionError)" in capsys.readouterr().err
    monkeypatch.setenv("CARRYOUT_LOG_LEVEL", "debug")
    assert run(["migrate"]) == FAILED
    assert "Traceback" in capsys.readouterr().err


def test_a_wrong_setting_is_one_line_that_names_it(empty: Cli) -> None:
    outcome = empty("store", "list", CARRYOUT_GUESS_LIMIT="many")
    assert outcome.code == FAILED
    assert outcome.stderr == "CARRYOUT_GUESS_LIMIT: must be a whole number, 0 to switch it off.\n"
    assert not (empty.folder / "data").exists()


def test_a_reader_that_goes_away_is_no_news(empty: Cli) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as gone:  # noqa: PTH123  # a descriptor, not a path
        done = subprocess.run(
            [sys.executable, "-m", "carryout", "openapi"],
            env=empty.environment,
            stdout=gone,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (FAILED, b"")


def test_without_docstrings_it_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-OO", "-m", "carryout", "--version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == FAILED
    assert "python -OO" in done.stderr
