"""The program: its commands, and how each of them ends.

Exit codes: 0, 1 (it failed: one plain line on stderr), 2 (it was called wrongly). A command group is imported when it
is asked for, so that no command waits for what others need.
"""

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Final

from cyclopts import App, CycloptsError, Parameter

from carryout import __version__
from carryout.errors import CarryoutError

FAILED: Final = 1
MISUSED: Final = 2

_COMMANDS: Final = {
    "serve": ("serving:serve", "Serve HTTP, and run jobs in the background."),
    "worker": ("serving:worker", "Run jobs only, beside servers that do not."),
    "migrate": ("schema:migrate", "Bring the database to this version's schema."),
    "check": ("checks:check", "Check configuration, database, storage, mail and signing; one line each."),
    "demo": ("demo:demo", "Fill the database with a store, products, files and paid orders to try."),
    "store": ("stores:app", "Stores and their settings."),
    "key": ("keys:app", "Keys of the merchant API."),
    "asset": ("assets:app", "Files and links, and what they are attached to."),
    "order": ("orders:app", "One order: look at it, block it, revoke its links, change its limits."),
    "explain": ("orders:explain", "Say which rules let a buyer download, or do not, and what would change it."),
    "evidence": ("evidence:evidence", "The record of what was decided and downloaded, and whether it was changed."),
    "ingest": ("ingest:ingest", "Take in webhook bodies from files, or try again what could not be applied."),
    "jobs": ("queue:app", "The queue of background jobs."),
    "backup": ("backups:backup", "Copy an embedded installation into one file, while it runs."),
    "restore": ("restores:restore", "Put an installation back from a backup, after checking all of it."),
    "openapi": ("openapi:openapi", "Print the OpenAPI document."),
}


def run(words: Sequence[str]) -> int:
    """Run the command that the words name; the exit code."""
    try:
        code = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        return _end_quietly()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return code


def _run(words: Sequence[str]) -> int:
    program = make_program()
    try:
        command, bound, _ = program.parse_args(words, exit_on_error=False, print_error=False)
        command(*bound.args, **bound.kwargs)
    except CycloptsError as error:
        _say(f"{error} Try --help.")
        return MISUSED
    except CarryoutError as error:
        _say(error.message)
        return FAILED
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001  # the command line's edge: a person gets a line, a developer the traceback
        return _fail(error)
    is_lost = getattr(command, "__name__", "") == "help_print" and not {"--help", "-h"} & set(words)
    return MISUSED if is_lost else 0


def make_program() -> App:
    """The program with all its commands."""
    program = App(
        name="carryout",
        help="Delivers digital products: counted, limited and revocable.",
        version=__version__,
        default_parameter=Parameter(negative=()),
        help_format="plaintext",
    )
    for name, (place, words) in _COMMANDS.items():
        program.command(f"carryout.cli.{place}", name=name, help=words)
    return program


def _fail(error: Exception) -> int:
    if isinstance(error, OSError) and error.strerror:
        _say(f"{error.strerror}: {error.filename}" if error.filename else error.strerror)
        return FAILED
    _say(f"Something went wrong ({type(error).__name__}). With CARRYOUT_LOG_LEVEL=debug it is told in full.")
    if os.environ.get("CARRYOUT_LOG_LEVEL", "").lower() == "debug":
        traceback.print_exception(error)
    return FAILED


def _say(words: str) -> None:
    sys.stderr.write(" ".join(words.split()) + "\n")


def _end_quietly() -> int:
    """Whoever read our output has gone: nothing more is said, also not by Python when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED
