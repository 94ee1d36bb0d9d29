"""The access log: one line a request, with what identifies anybody left out.

A line holds method, masked path, status, milliseconds and request id: no address, no query, no header. Lines are
gathered and written together, at most a tenth of a second later: a line costs about a microsecond.
"""

import asyncio
import os
import sys
import time
from functools import lru_cache
from typing import Final

import msgspec

from carryout.identifiers import is_uid

_DELAY_SECONDS: Final = 0.1
_SHOWN_CHARACTERS: Final = 200
_TICKET_PATHS: Final = ("/d/", "/f/", "/o/", "/u/")
_LONG_CHARACTERS: Final = 20
_KNOWN: Final = frozenset({"/api/v2/customer-account-orders"})


class AccessLog:
    """Writes to a file descriptor, as JSON lines or for a terminal."""

    def __init__(self, *, as_json: bool, descriptor: int = 2) -> None:
        self._as_json = as_json
        self._descriptor = descriptor
        self._lines: list[str] = []
        self._second = 0
        self._stamp = ""

    def record(self, method: str, path: str, status: int, seconds: float, request_id: str) -> None:
        """One answered request."""
        if not self._lines:
            asyncio.get_running_loop().call_later(_DELAY_SECONDS, self.flush)
        now = time.time()
        if int(now) != self._second:
            self._second = int(now)
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        if self._as_json:
            self._lines.append(
                f'{{"timestamp":"{self._stamp}.{int(now % 1 * 1000):03d}Z","level":"info","event":"request",'
                f'"method":"{method}","path":{_quoted(path)},"status":{status},"ms":{seconds * 1000:.2f},'
                f'"request_id":"{request_id}"}}\n'
            )
        else:
            self._lines.append(f"{self._stamp}Z {status} {method} {mask(path)} {seconds * 1000:.1f} ms {request_id}\n")

    def flush(self) -> None:
        """Write what was gathered."""
        data = "".join(self._lines).encode()
        self._lines.clear()
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            return  # nobody reads the log any more; that must not stop the server


def open_access_log(log_format: str | None, log_level: str) -> AccessLog | None:
    """The access log on stderr for these settings; None where the level leaves it out."""
    if log_level not in ("debug", "info"):
        return None
    return AccessLog(as_json=(log_format or ("console" if sys.stderr.isatty() else "json")) == "json")


def mask(path: str) -> str:
    """The path without tickets, tokens, addresses, and what looks like one: the log must open no door."""
    if path in _KNOWN:
        return path
    if path.startswith(_TICKET_PATHS):
        return path[:3] + "***"
    shown = "/".join("***" if _is_secretive(part) else part for part in path[:_SHOWN_CHARACTERS].split("/"))
    return "".join(character if character.isprintable() else "?" for character in shown)


def _is_secretive(part: str) -> bool:
    return (len(part) >= _LONG_CHARACTERS and not is_uid(part)) or "@" in part or "%" in part


@lru_cache(maxsize=1024)
def _quoted(path: str) -> str:
    return msgspec.json.encode(mask(path)).decode()
