from pathlib import Path

import pytest

from carryout.db.lock import AlreadyServing, LockImpossible, hold_lock


def test_only_one_holds_the_lock(tmp_path: Path) -> None:
    with hold_lock(tmp_path), pytest.raises(AlreadyServing, match=str(tmp_path)), hold_lock(tmp_path):
        pass


def test_it_is_free_again_afterwards_and_makes_its_folder(tmp_path: Path) -> None:
    for _ in range(2):
        with hold_lock(tmp_path / "new" / "data"):
            pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(LockImpossible, match="file"), hold_lock(tmp_path / "file"):
        pass
