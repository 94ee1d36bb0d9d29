"""The lock on an embedded data folder: one `serve` at a time, and no `restore` under it.

It is an `flock` on `{data_dir}/serve.lock`. Workers inherit the descriptor, and with it the lock, so it is held until
the last of them is gone, however they end; a crash leaves nothing to clean up.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from carryout.errors import CarryoutError, Kind

_LOCK_FILE: Final = "serve.lock"


class AlreadyServing(CarryoutError):
    """The data folder {data_dir} is in use by a running `carryout serve` or one of its workers. Stop it first."""

    kind = Kind.CONFLICT


class LockImpossible(CarryoutError):
    """The data folder {data_dir} cannot be locked: {reason}."""

    kind = Kind.MISCONFIGURED


@contextmanager
def hold_lock(data_dir: Path) -> Iterator[int]:
    """Hold the folder's lock; yields its file descriptor, for workers to inherit. Errors: `AlreadyServing`."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(data_dir / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LockImpossible(data_dir=data_dir, reason=error.strerror) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyServing(data_dir=data_dir) from None
        yield descriptor
    finally:
        os.close(descriptor)
