"""How Carryout and the typical implementation are set up, filled and started, with the same settings."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orders as shop
from servers import Running, ServerFailed, free_port, program

HERE = Path(__file__).parent
BASE_URL = "https://downloads.example.com"
_SECRET = "measured-and-thrown-away-afterwards"  # noqa: S105 - of databases that live for one run


class Carryout:
    """An installation of Carryout with so many orders: embedded, or on a server's database."""

    def __init__(self, folder: Path, programs: Path, database_url: str | None = None) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._programs = programs
        self._database_url = database_url or f"sqlite:///{folder}/data/carryout.db"
        self._environment = {
            "CARRYOUT_DATA_DIR": str(folder / "data"),
            "CARRYOUT_DATABASE_URL": self._database_url,
            "CARRYOUT_SECRET_KEY": _SECRET,
            "CARRYOUT_BASE_URL": BASE_URL,
            "CARRYOUT_LOG_LEVEL": "warning",
        }

    def fill(self, count: int) -> None:
        """Make the store through the command line, the orders through the tables."""
        (self._folder / "data").mkdir()
        carryout = str(self._programs / "carryout")
        settings = [f"title={shop.TITLE}", f"text={shop.TEXT}", f"download_limit={shop.DOWNLOAD_LIMIT}"]
        named = ["--domain", shop.DOMAIN, "--webhook-secret", shop.WEBHOOK_SECRET]
        for command in (
            [carryout, "migrate"],
            [carryout, "store", "create", "Measured", *named],
            [carryout, "store", "set", shop.DOMAIN, *settings],
            [str(self._programs / "python"), str(HERE / "fill.py"), self._database_url, str(count)],
        ):
            _run(command, self._folder, self._environment)

    def stock(self) -> Path:
        """Put a file behind every version, and write the links of all grants, a line each; where they are."""
        links = self._folder / "links"
        command = [str(self._programs / "python"), str(HERE / "stock.py")]
        command += [self._database_url, str(self.files), _SECRET, str(links)]
        _run(command, self._folder, self._environment)
        return links

    def sell(self, file: Path, order: int) -> str:
        """Grant a file to an order, without a limit; the path of its link."""
        carryout, named = str(self._programs / "carryout"), ["--store", shop.DOMAIN, "--json"]

        def call(*words: str) -> Any:
            return json.loads(_run([carryout, *words, *named], self._folder, self._environment))

        [asset] = call("asset", "add", str(file))
        call("asset", "attach", asset["id"], "--order", str(order))
        call("order", "set", str(order), "downloads=none")
        [grant] = [each for each in call("order", "show", str(order))["grants"] if each["asset_id"] == asset["id"]]
        return str(grant["url"]).removeprefix(BASE_URL)

    @property
    def files(self) -> Path:
        """Where its files are."""
        return self._folder / "data/files"

    @contextlib.contextmanager
    def serve(self, **settings: str) -> Iterator[Running]:
        """`carryout serve` with one worker, jobs included, as it comes."""
        port = free_port()
        command = [str(self._programs / "carryout"), "serve", "--port", str(port)]
        with program(command, port, self._folder, self._environment | settings) as running:
            yield running


class Typical:
    """The typical implementation, run by the interpreter that runs this."""

    def __init__(self, folder: Path, database_url: str | None = None) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._environment = {
            "PYTHONPATH": str(HERE),
            "TYPICAL_DATABASE_URL": database_url or f"sqlite+aiosqlite:///{folder}/typical.db",
            "TYPICAL_BASE_URL": BASE_URL,
            "TYPICAL_SECRET_KEY": _SECRET,
            "TYPICAL_WEBHOOK_SECRET": shop.WEBHOOK_SECRET,
            "TYPICAL_TITLE": shop.TITLE,
            "TYPICAL_TEXT": shop.TEXT,
        }

    def fill(self, count: int) -> None:
        """Make the tables and insert the orders."""
        _run([sys.executable, "-m", "typical.fill", str(count)], self._folder, self._environment)

    @contextlib.contextmanager
    def serve(self, *, is_joined: bool = False) -> Iterator[Running]:
        """One worker of uvicorn; access log off, as it is for Carryout."""
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "typical.main:app", "--port", str(port)]
        command += ["--no-access-log", "--log-level", "warning"]
        environment = {**self._environment, **({"TYPICAL_JOINED": "1"} if is_joined else {})}
        with program(command, port, self._folder, environment) as running:
            yield running


def _run(command: list[str], folder: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=folder, env={**os.environ, **environment}
    )
    if done.returncode:
        raise ServerFailed(f"{' '.join(command[:4])} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
