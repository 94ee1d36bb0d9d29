"""Logs of a server process: structlog for our own and the libraries' records, JSON or for a terminal, on stderr.

Whatever is logged, what could open a door or name a person is masked on its way out; tracebacks show no variables.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

from carryout.web.edge import REQUEST_ID

_SECRET_NAMES: Final = re.compile(
    r"token|ticket|secret|password|authorization|cookie|signature|hmac|email|address|\bkey\b|_key\b"
)
_SECRET_TEXTS: Final = re.compile(
    r"""(?x)
    (?<=://)[^/\s:@]*:[^/\s@]+(?=@)                             # the password of a URL
    | (?i:bearer)\s+\S+
    | [\w.+-]+@[\w-]+\.[\w.-]+                                  # an e-mail
    | \b(?:\d{1,3}\.){3}\d{1,3}\b | \b(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{0,4}\b
    | (?<![\w-])(?=[\w-]*\d)(?![0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-)[A-Za-z0-9_-]{24,}(?![\w-]) # a ticket or key
    """
)
_QUIET: Final = ("uvicorn", "uvicorn.error", "asyncio")


def configure(log_format: str | None, log_level: str) -> None:
    """Set up logging for this process; `log_format` None means `console` on a terminal, else `json`."""
    level = getattr(logging, log_level.upper())
    as_json = (log_format or ("console" if sys.stderr.isatty() else "json")) == "json"
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_request_id,
    ]
    last: list[Any] = (
        [_JSON_TRACEBACKS, redact, structlog.processors.JSONRenderer()]
        if as_json
        else [structlog.processors.format_exc_info, redact, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:  # uvicorn says much about starting and stopping that is not news
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask what could open a door or name a person, by name and by look."""
    for name, value in event.items():
        if name not in ("timestamp", "request_id", "level"):
            event[name] = _masked(name, value)
    return event


def _masked(name: str, value: object) -> object:
    if isinstance(value, int | float | None):
        return value
    if _SECRET_NAMES.search(name):
        return "***"
    if isinstance(value, dict):
        return {inner: _masked(str(inner), content) for inner, content in value.items()}
    if isinstance(value, list | tuple):
        return [_masked("", content) for content in value]
    return _SECRET_TEXTS.sub("***", str(value))


def _add_request_id(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if request_id := REQUEST_ID.get(None):
        event["request_id"] = request_id
    return event


_JSON_TRACEBACKS: Final = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)
