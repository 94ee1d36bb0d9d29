"""Several server processes on one socket, and a parent that keeps their number.

A worker is a fresh interpreter that inherits the listening socket and the data folder's lock. Its job comes through its
standard input, which stays open as long as the parent lives: when it closes, the worker ends at once (`supervised.py`).
"""

import os
import pickle
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import structlog

from carryout.cli.process import Job, NotStarted
from carryout.web.server import GRACE_SECONDS

_SLOT_SECONDS: Final = 1.0  # a slot is filled at most this often, so that a worker that dies at once is no busy loop
_KILL_AFTER_SECONDS: Final = GRACE_SECONDS + 5
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)

_log: Final[Any] = structlog.get_logger("carryout.supervisor")


class Supervisor:
    """Runs `workers` processes until SIGTERM or SIGINT. Only the first runs jobs, and so does its replacement."""

    def __init__(self, job: Job, workers: int, inherited: tuple[socket.socket, int | None]) -> None:
        self._job = job
        self._workers: list[subprocess.Popen[bytes] | None] = [None] * workers
        self._started_at = [0.0] * workers
        self._socket, self._lock = inherited
        self._ready, self._say_ready = os.pipe()
        self._ready_count = 0
        self._stops = 0

    def run(self, on_ready: Callable[[], None]) -> None:
        """Serve until asked to stop. Errors: `NotStarted`, when a worker ends before all of them are ready."""
        with tempfile.TemporaryDirectory(prefix="carryout-metrics-") as metrics_dir, self._wake_ups() as wait:
            try:
                while not self._stops:
                    self._fill(metrics_dir)
                    if wait():
                        self._count_ready(on_ready)
            finally:
                self._stop(wait)

    def _fill(self, metrics_dir: str) -> None:
        """Start a worker in every slot that has none."""
        for slot, worker in enumerate(self._workers):
            if worker is not None and worker.poll() is not None:
                if self._ready_count < len(self._workers):
                    raise NotStarted
                _log.warning("a worker ended; another takes its place", worker=worker.pid, status=worker.returncode)
                self._forget(slot)
            if self._workers[slot] is None and time.monotonic() - self._started_at[slot] >= _SLOT_SECONDS:
                self._started_at[slot] = time.monotonic()
                self._workers[slot] = self._start(slot, metrics_dir)

    def _start(self, slot: int, metrics_dir: str) -> subprocess.Popen[bytes]:
        job = msgspec.structs.replace(self._job, run_jobs=self._job.run_jobs and slot == 0, metrics_dir=metrics_dir)
        inherited = [self._socket.fileno(), self._say_ready, *([] if self._lock is None else [self._lock])]
        letter = pickle.dumps((job, inherited[0], inherited[1], os.getpid(), sys.path))
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "carryout.cli.supervised"],
            stdin=subprocess.PIPE,
            pass_fds=inherited,
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": metrics_dir},
        )
        stdin: Any = worker.stdin
        stdin.write(len(letter).to_bytes(8, "big") + letter)
        stdin.flush()  # and it stays open: its closing tells the worker that we are gone
        return worker

    def _forget(self, slot: int) -> None:
        worker: Any = self._workers[slot]
        worker.stdin.close()
        self._workers[slot] = None

    def _count_ready(self, on_ready: Callable[[], None]) -> None:
        before = self._ready_count
        self._ready_count += len(os.read(self._ready, 64))
        if before < len(self._workers) <= self._ready_count:
            on_ready()

    def _stop(self, wait: Callable[[], bool]) -> None:
        """Let every worker finish what it does; after the grace time it is killed."""
        deadline = time.monotonic() + _KILL_AFTER_SECONDS
        self._signal(signal.SIGTERM)
        self._socket.close()  # or whoever connects now would wait for workers that take nobody in any more
        asked = self._stops
        while any(worker is not None and worker.poll() is None for worker in self._workers):
            wait()
            if time.monotonic() > deadline or self._stops > asked:
                self._signal(signal.SIGKILL)
        for slot, worker in enumerate(self._workers):
            if worker is not None:
                self._forget(slot)
        os.close(self._ready)
        os.close(self._say_ready)

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker is not None and worker.poll() is None:
                worker.send_signal(number)

    @contextmanager
    def _wake_ups(self) -> Iterator[Callable[[], bool]]:
        """A function that waits for a signal, a ready worker or a moment, and says whether a worker is ready."""
        reader, writer = socket.socketpair()
        writer.settimeout(0)
        reader.settimeout(0)
        before = [(number, signal.signal(number, self._note)) for number in _SIGNALS]
        signal.set_wakeup_fd(writer.fileno())
        with reader, writer, selectors.DefaultSelector() as selector:
            selector.register(reader, selectors.EVENT_READ)
            selector.register(self._ready, selectors.EVENT_READ)

            def wait() -> bool:
                found = {key.fileobj for key, _ in selector.select(_SLOT_SECONDS / 4)}
                if reader in found:
                    reader.recv(64)
                return self._ready in found

            try:
                yield wait
            finally:
                signal.set_wakeup_fd(-1)
                for number, previous in before:
                    signal.signal(number, previous)

    def _note(self, number: int, _frame: object) -> None:
        self._stops += number != signal.SIGCHLD
