"""Real S3 servers: OpenStack Swift, which checks signatures and their time, and moto, which checks neither.

Each test gets a bucket of its own.
"""

import itertools
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import botocore.session  # type: ignore[import-untyped]  # botocore ships no types

from tests.world import swift_program

_START_SECONDS: Final = 60
_SYSTEM_PYTHON: Final = "/usr/bin/python3"
_REGION: Final = "us-east-1"
KEYS: Final[Mapping[str, str]] = {
    "AWS_ACCESS_KEY_ID": swift_program.ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": swift_program.SECRET,
}


class ServerMissing(RuntimeError):
    """There is no Swift on this machine. Run `make servers`, or install the package python3-swift."""


class Buckets:
    """A running server; it makes buckets."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._numbers = itertools.count(1)
        self.client: Any = botocore.session.Session().create_client(
            "s3",
            region_name=_REGION,
            endpoint_url=endpoint,
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )

    def make(self) -> str:
        """The storage URL of a folder in a new bucket."""
        name = f"test-{next(self._numbers)}"
        self.client.create_bucket(Bucket=name)
        return f"s3://{name}/some/folder?endpoint={self.endpoint}&region={_REGION}"


@contextmanager
def running_swift() -> Iterator[Buckets]:
    """Start Swift, and end it with everything in it."""
    if not Path("/usr/lib/python3/dist-packages/swift").exists():
        raise ServerMissing(ServerMissing.__doc__)
    folder = Path(tempfile.mkdtemp(prefix="carryout-swift-"))
    try:
        with (
            (folder / "log").open("wb") as log,
            _started([_SYSTEM_PYTHON, swift_program.__file__, str(folder)], log) as process,
        ):
            assert process.stdout is not None
            ready, _, _ = select.select([process.stdout], [], [], _START_SECONDS)
            endpoint = process.stdout.readline().decode().strip() if ready else ""
            assert endpoint, f"Swift did not start:\n{(folder / 'log').read_text()}"
            yield Buckets(endpoint)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_moto() -> Iterator[Buckets]:
    """Start moto, and end it with everything in it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with _started(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + _START_SECONDS
        while not _listens(port):
            assert process.poll() is None, "moto ended"
            assert time.monotonic() < deadline, "moto never listened"
            time.sleep(0.02)
        yield Buckets(f"http://127.0.0.1:{port}")


@contextmanager
def _started(command: list[str], log: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
