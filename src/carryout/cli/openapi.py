"""`carryout openapi`."""

import sys
from importlib.resources import files


def openapi() -> None:
    """Print the OpenAPI document of every public route, as `/openapi.json` serves it."""
    sys.stdout.write((files("carryout.web") / "openapi.json").read_text(encoding="utf-8").rstrip("\n") + "\n")
