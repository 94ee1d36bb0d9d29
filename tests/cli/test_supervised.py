import os
from pathlib import Path

import pytest

from carryout.db.lock import AlreadyServing, hold_lock
from tests.cli.running_program import running


def test_no_worker_outlives_a_killed_parent(tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as program:
        workers = program.pids(2)
        program.process.kill()
        program.end()  # stderr ends when the last process that holds it has ended

    for worker in workers:
        assert not Path(f"/proc/{worker}").exists() or "\nState:\tZ" in Path(f"/proc/{worker}/status").read_text()


def test_a_worker_holds_the_lock_of_its_parent(tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as program:
        lock = (tmp_path / "serve.lock").stat().st_ino
        for worker in program.pids(2):
            held = [os.stat(f"/proc/{worker}/fd/{fd}").st_ino for fd in os.listdir(f"/proc/{worker}/fd")]  # noqa: PTH116, PTH208  # links of /proc, which pathlib resolves
            assert lock in held
        with pytest.raises(AlreadyServing), hold_lock(tmp_path):
            pass
