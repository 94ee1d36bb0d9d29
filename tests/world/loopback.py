"""No connection leaves the machine: a look-up or a connection to anywhere else is refused in this process."""

import ipaddress
import sys
from typing import Any, Final

_LOCAL_NAMES: Final = frozenset({None, "", "localhost", b"localhost"})


class ConnectionLeaves(RuntimeError):
    """A test reached for another machine."""


def refuse_other_machines() -> None:
    """From here on only loopback addresses and unix sockets are reached. An audit hook cannot be taken back."""
    sys.addaudithook(_refuse)


def _refuse(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(args[1], tuple):
        _require_loopback(args[1][0])
    elif event == "socket.getaddrinfo":
        _require_loopback(args[0])


def _require_loopback(host: str | bytes | None) -> None:
    if host in _LOCAL_NAMES:
        return
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    if address is None or not (address.is_loopback or address.is_unspecified):
        message = f"no test leaves this machine, but one asked for {text}"
        raise ConnectionLeaves(message)
