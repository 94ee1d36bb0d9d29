"""`carryout jobs …`."""

from functools import partial
from typing import Annotated, Any

from cyclopts import App, Parameter

from carryout.cli.output import AsJson, iso_or_none, print_json, print_table
from carryout.cli.session import Session, run
from carryout.clock import now
from carryout.jobs import queue
from carryout.jobs.model import JobView

app = App(name="jobs", help="The queue of background jobs.")

JobId = Annotated[int, Parameter(name="ID", help="The job's id.")]


@app.command(name="list")
def list_(*, finished: bool = False, limit: int = 100, as_json: AsJson = False) -> None:
    """Jobs that wait, run or are dead, the newest first.

    Parameters
    ----------
    finished
        Also those that are done or were cancelled.
    limit
        At most so many.
    """
    _print(run(_list, limit, finished=finished), as_json=as_json)


@app.command
def retry(job_id: JobId, /, *, as_json: AsJson = False) -> None:
    """Run a dead, cancelled or waiting job now."""
    _print([run(_retry, job_id)], as_json=as_json)


@app.command
def cancel(job_id: JobId, /, *, as_json: AsJson = False) -> None:
    """End a job that has not ended."""
    _print([run(_cancel, job_id)], as_json=as_json)


async def _list(session: Session, limit: int, *, finished: bool) -> list[dict[str, Any]]:
    moment = now()
    listing = partial(queue.list_jobs, limit=limit, with_finished=finished)
    return [_document(job, moment) for job in await session.database.read(listing)]


async def _retry(session: Session, job_id: int) -> dict[str, Any]:
    return _document(await session.database.write(queue.retry_job, job_id, now()), now())


async def _cancel(session: Session, job_id: int) -> dict[str, Any]:
    return _document(await session.database.write(queue.cancel_job, job_id, now()), now())


def _document(job: JobView, moment: int) -> dict[str, Any]:
    is_running = job.outcome is None and job.lease_until is not None and job.lease_until > moment
    return {
        "id": job.id,
        "kind": job.kind,
        "attempts": job.attempts,
        "run_at": iso_or_none(job.run_at),
        "outcome": None if job.outcome is None else job.outcome.value,
        "is_running": is_running,
        "error": job.error,
        "finished_at": iso_or_none(job.finished_at),
    }


def _print(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
    else:
        print_table(rows, ("id", "kind", "attempts", "run_at", "outcome", "is_running", "error"))
