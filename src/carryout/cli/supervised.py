"""A worker of `carryout serve --workers N`; the supervisor starts it as `python -m carryout.cli.supervised`.

No worker outlives its parent: its standard input closes with the parent, however that ends, and on Linux the kernel
kills it as well. An answer that was not given by then was not promised.
"""

import ctypes
import os
import pickle
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from carryout.cli.process import Job

_PR_SET_PDEATHSIG: Final = 1
_STDIN: Final = 0


def main() -> int:
    """Serve one job; 1 and a line on stderr when it does not start."""
    job, descriptor, say_ready, parent, path = pickle.loads(_letter())  # noqa: S301  # written by our parent
    sys.path[:] = path
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            return 1
    return _serve(job, socket.socket(fileno=descriptor), say_ready)


def _serve(job: "Job", sock: socket.socket, say_ready: int) -> int:
    # Imported here: the parent is watched before anything that takes time, and figures need their folder by now.
    from carryout.cli import logs, process  # noqa: PLC0415  # see above
    from carryout.errors import CarryoutError  # noqa: PLC0415  # see above

    logs.configure(job.settings.log_format, job.settings.log_level)

    def on_ready() -> None:
        os.write(say_ready, b".")

    try:
        process.run(job, sock, on_ready)
    except CarryoutError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    return 0


def _letter() -> bytes:
    return _read(int.from_bytes(_read(8), "big"))


def _read(size_bytes: int) -> bytes:
    read = b""
    while len(read) < size_bytes:
        more = os.read(_STDIN, size_bytes - len(read))
        if not more:
            os._exit(1)
        read += more
    return read


def _end_with_parent() -> None:
    os.read(_STDIN, 1)
    os._exit(1)


if __name__ == "__main__":
    raise SystemExit(main())
