import os
import select
from contextlib import suppress
from pathlib import Path

import pytest

from carryout.db.lock import AlreadyServing, hold_lock
from tests.cli.running_program import running


def test_no_worker_outlives_a_killed_parent(tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as program:
        workers = [os.pidfd_open(pid) for pid in program.pids(2)]
        program.process.kill()
        ended = [bool(select.select([worker], [], [], 5)[0]) for worker in workers]

    for worker in workers:
        os.close(worker)
    assert ended == [True, True]


def open_files(pid: int) -> set[int]:
    """The inodes of what a process holds open; what it closes meanwhile is left out."""
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(descriptor.stat().st_ino)
    return found


def test_a_worker_holds_the_lock_of_its_parent(tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as program:
        lock = (tmp_path / "serve.lock").stat().st_ino
        for worker in program.pids(2):
            assert lock in open_files(worker)
        with pytest.raises(AlreadyServing), hold_lock(tmp_path):
            pass
