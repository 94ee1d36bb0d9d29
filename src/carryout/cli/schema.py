"""`carryout migrate`."""

from carryout.cli.output import AsJson, print_json
from carryout.cli.session import load_settings
from carryout.db.migrate import upgrade


def migrate(*, as_json: AsJson = False) -> None:
    """Bring the database to this version's schema; one that is newer is refused."""
    before, after = upgrade(load_settings().database_url)
    if as_json:
        print_json({"from": before, "to": after})
    elif before == after:
        print(f"The database has schema {after} already.")
    else:
        print(f"The database went from schema {before} to {after}.")
