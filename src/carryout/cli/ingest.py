"""`carryout ingest`: what a webhook would bring, from files; and the inbox once more."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import CycloptsError, Parameter

from carryout.cli.output import AsJson, print_json, print_table
from carryout.cli.reading import opened
from carryout.cli.session import Session, run
from carryout.clock import now
from carryout.errors import CarryoutError
from carryout.shopify.intake import Intake
from carryout.shopify.service import NotJson

_REFUSED = "not_json"


class NotAllTaken(CarryoutError):
    """{count} of the files are not JSON and were not taken in."""


def ingest(
    *files: Annotated[Path, Parameter(name="FILE")],
    store: Annotated[str | None, Parameter(help="The store's id or domain.")] = None,
    topic: str | None = None,
    retry: bool = False,
    as_json: AsJson = False,
) -> None:
    """Take in webhook bodies from files, as if they had come over HTTP; the same file again changes nothing.

    Parameters
    ----------
    topic
        What the files are, such as orders/paid.
    retry
        Instead of files: try everything again that could not be applied.
    """
    if retry:
        if files or store or topic:
            raise CycloptsError(msg="--retry takes neither files nor --store nor --topic.")
        rows = run(_retry)
    elif files and store and topic:
        rows = run(_ingest, store, topic, files)
    else:
        raise CycloptsError(msg="Name --store, --topic and at least one file, or --retry.")
    if as_json:
        print_json(rows)
    else:
        print_table(rows, ("delivery_id", "topic", "outcome") if retry else ("file", "outcome"))
    if refused := [row for row in rows if row["outcome"] == _REFUSED]:
        raise NotAllTaken(count=len(refused))


def make_intake(session: Session) -> Intake:
    """Where deliveries come in."""
    return Intake(session.database, session.keyring, session.settings.data_dir, now)


async def _ingest(session: Session, text: str, topic: str, files: tuple[Path, ...]) -> list[dict[str, Any]]:
    intake = make_intake(session)
    rows = []
    with opened(files) as sources:
        for path, source in sources:
            owner = await session.find_store(text)  # each time: a body may have renamed or removed it
            try:
                outcome = (await intake.ingest(owner, topic, source.read())).value
            except NotJson:
                outcome = _REFUSED
            rows.append({"file": str(path), "topic": topic, "outcome": outcome})
    return rows


async def _retry(session: Session) -> list[dict[str, Any]]:
    return [
        {"file": None, "delivery_id": retried.delivery_id, "topic": retried.topic, "outcome": retried.outcome.value}
        for retried in await make_intake(session).retry_parked()
    ]
