"""Starts `small_program` and watches what it says."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import httpx

ROOT = Path(__file__).parents[2]


class Program:
    """A running program; `base_url` once it listens."""

    def __init__(
        self, data_dir: Path, port: int = 0, workers: int = 1, flags: tuple[str, ...] = (), **more: str
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *flags, "-m", "tests.cli.small_program", str(port), str(workers)],
            cwd=ROOT,
            env={**os.environ, "CARRYOUT_DATA_DIR": str(data_dir), "CARRYOUT_LOG_FORMAT": "json", **more},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stderr is not None
        self.stderr: IO[str] = self.process.stderr
        self.base_url = ""

    def wait_until_ready(self) -> None:
        """Read on to the line that says where it listens."""
        self.base_url = self.read_to("Carryout is listening on ").split()[-1]

    def read_to(self, text: str) -> str:
        """Read on to a line with this text in it."""
        for line in self.stderr:
            if text in line:
                return line
        raise AssertionError(text)

    def get(self, path: str = "/") -> dict[str, Any]:
        """The JSON at a path, over a connection of its own."""
        answer: dict[str, Any] = httpx.get(self.base_url + path, trust_env=False).json()
        return answer

    def pids(self, count: int) -> dict[int, Any]:
        """Ask until so many processes have answered."""
        answers: dict[int, Any] = {}
        while len(answers) < count:
            answer = self.get()
            answers[answer["pid"]] = answer
        return answers

    def end(self) -> tuple[int, str]:
        """Wait for its end: exit code, and what it said since."""
        rest = self.stderr.read()
        return self.process.wait(), rest


@contextmanager
def running(data_dir: Path, **options: Any) -> Iterator[Program]:
    """A program that listens; nothing of it is left afterwards."""
    with started(data_dir, **options) as program:
        program.wait_until_ready()
        yield program


@contextmanager
def started(data_dir: Path, **options: Any) -> Iterator[Program]:
    """A program that was started."""
    program = Program(data_dir, **options)
    try:
        yield program
    finally:
        with suppress(ProcessLookupError):
            os.killpg(program.process.pid, signal.SIGKILL)
        program.process.wait()
        program.stderr.close()
