import signal
import socket
import threading
from pathlib import Path
from typing import Any

import httpx

from tests.cli.running_program import running, started


def test_it_says_where_it_listens_and_answers_there(tmp_path: Path) -> None:
    with running(tmp_path) as program:
        answer = program.get()

    assert program.base_url.startswith("http://127.0.0.1:")
    assert answer == {"pid": program.process.pid, "base_url": program.base_url, "run_jobs": True}


def test_the_configured_base_url_comes_first(tmp_path: Path) -> None:
    with running(tmp_path, CARRYOUT_BASE_URL="https://files.example.com") as program:
        assert program.get()["base_url"] == "https://files.example.com"


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with started(tmp_path, port=port) as program:
            assert program.end() == (1, f"Carryout cannot listen on 127.0.0.1 port {port}: Address already in use.\n")


def test_a_second_server_on_the_same_data_folder_is_one_line(tmp_path: Path) -> None:
    with running(tmp_path), started(tmp_path) as second:
        code, said = second.end()

    assert code == 1
    assert said.count("\n") == 1
    assert f"The data folder {tmp_path} is in use" in said


def test_the_lock_is_free_after_a_crash(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        first.process.kill()
        first.process.wait()
        with running(tmp_path) as second:
            assert second.get()


def test_a_server_database_needs_no_lock(tmp_path: Path) -> None:
    other = {"CARRYOUT_DATABASE_URL": "postgresql://nobody@127.0.0.1/nothing"}
    with running(tmp_path, **other), running(tmp_path, **other) as second:
        assert second.get()


def test_sigterm_finishes_what_runs_and_ends_with_0(tmp_path: Path) -> None:
    with running(tmp_path) as program:
        replies: list[Any] = []
        slow = threading.Thread(target=lambda: replies.append(program.get("/slow")))
        slow.start()
        program.read_to("slow request began")
        program.process.send_signal(signal.SIGTERM)
        code, said = program.end()
        slow.join()

    assert replies == [{"finished": True}]
    assert code == 0
    assert said == "the application ended\n"


def test_sigint_ends_with_0(tmp_path: Path) -> None:
    with running(tmp_path) as program:
        program.process.send_signal(signal.SIGINT)

        assert program.end()[0] == 0


def test_it_refuses_to_run_without_docstrings(tmp_path: Path) -> None:
    with started(tmp_path, flags=("-OO",)) as program:
        code, said = program.end()

    assert code == 1
    assert said.startswith("Carryout does not run under python -OO")


def test_replies_name_no_server_and_carry_a_date(tmp_path: Path) -> None:
    with running(tmp_path) as program:
        headers = httpx.get(program.base_url, trust_env=False).headers

    assert "server" not in headers
    assert headers["date"].endswith("GMT")
