"""`carryout`, and `python -m carryout`."""

import sys
from typing import Final

_NO_DOCSTRINGS: Final = 2


def main() -> None:
    """Run one command and end with its exit code."""
    if sys.flags.optimize >= _NO_DOCSTRINGS:
        sys.exit("Carryout does not run under python -OO: its messages are docstrings. Leave out one O.")
    from carryout.cli.program import run  # noqa: PLC0415  # nothing of ours works without docstrings

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
