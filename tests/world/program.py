"""The real program: `python -m carryout …` as a process, once (`Cli`) or as a running server (`Server`)."""

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_READY: Final = re.compile(r"Carryout is listening on (http://\S+)")
_READY_SECONDS: Final = 30
_STOP_SECONDS: Final = 20
_COMMAND_SECONDS: Final = 120


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """What it printed, with `--json`."""
        return json.loads(self.stdout)


@dataclass(frozen=True)
class Cli:
    """The command line in one environment: `cli("store", "list", "--json")`."""

    environment: Mapping[str, str]
    folder: Path

    def __call__(self, *args: str | Path, stdin: str | None = None, **settings: str) -> Outcome:
        """Run one command to its end. `settings` are more environment variables."""
        done = subprocess.run(
            [sys.executable, "-m", "carryout", *map(str, args)],
            env={**self.environment, **settings},
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def ok(self, *args: str | Path, **settings: str) -> Outcome:
        """Run one command that must succeed."""
        outcome = self(*args, **settings)
        assert outcome.code == 0, f"carryout {args} ended with {outcome.code}:\n{outcome.stderr}"
        return outcome


class ServerDied(AssertionError):
    """The server ended, or never said that it listens."""


class Server:
    """A running `carryout serve` on a free port. Its process group ends with it, whatever happens."""

    def __init__(self, environment: Mapping[str, str], folder: Path, *args: str) -> None:
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._log: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "carryout", "serve", "--port", "0", *args],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.base_url = self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    @property
    def log(self) -> str:
        """Everything that it has written to stderr so far."""
        return "".join(self._log)

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return int(self.base_url.rpartition(":")[2])

    def stop(self) -> int:
        """Ask it to stop (SIGTERM) and wait; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_STOP_SECONDS)
        finally:
            self.kill()
        return int(self.process.returncode)

    def kill(self) -> None:
        """End every process of it at once (SIGKILL), as a crash would."""
        with suppress(ProcessLookupError):  # the whole group ended before
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(_STOP_SECONDS)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._log.append(line)
            self._lines.put(line)
        self._lines.put(None)

    def _wait_until_ready(self) -> str:
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                message = f"the server never said that it listens:\n{self.log}"
                raise ServerDied(message)
            if ready := _READY.search(line):
                return ready[1]
