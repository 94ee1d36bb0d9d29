import os
import signal
from pathlib import Path

import httpx

from tests.cli.running_program import running, started


def test_several_workers_answer_on_one_socket_and_one_runs_jobs(tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as program:
        answers = program.pids(2)

    assert program.process.pid not in answers
    assert sorted(answer["run_jobs"] for answer in answers.values()) == [False, True]
    assert {answer["base_url"] for answer in answers.values()} == {program.base_url}


def test_a_worker_that_died_is_replaced_and_so_is_its_part(tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as program:
        answers = program.pids(2)
        victim = next(pid for pid, answer in answers.items() if answer["run_jobs"])
        os.kill(victim, signal.SIGKILL)
        program.read_to("another takes its place")
        while not (answer := program.get())["run_jobs"]:
            pass

    assert answer["pid"] not in answers


def test_sigterm_ends_every_worker_in_order(tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as program:
        program.process.send_signal(signal.SIGTERM)

        assert program.end() == (0, "the application ended\n" * 2)


def test_ctrl_c_reaches_the_whole_group_and_ends_in_order(tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as program:
        os.killpg(program.process.pid, signal.SIGINT)

        assert program.end() == (0, "the application ended\n" * 2)


def test_workers_that_cannot_start_end_the_server(tmp_path: Path) -> None:
    with started(tmp_path, workers=2, FAIL="by design") as program:
        code, said = program.end()

    assert code == 1
    assert "The schema is wrong. Run `carryout migrate`.\n" in said
    assert "Traceback" not in said


def test_figures_of_all_workers_are_added_up(tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as program:
        program.pids(2)
        # Each worker adds what it has counted when it is asked itself; by then both were.
        figures = [httpx.get(program.base_url + "/metrics", trust_env=False).text for _ in range(60)]

    assert 'carryout_requests_total{method="GET",route="/",status="200"}' in figures[0]
    assert len(set(figures[-10:])) == 1
