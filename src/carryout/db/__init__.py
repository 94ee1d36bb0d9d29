"""The database: two drivers behind one shape. Only this package begins, commits and rolls back (docs/decisions).

A door hands a function to the database, and that function is one transaction:

    outcome = await database.write(service.block, order, now)     # durable when it returns
    view = await database.read(service.customer_view, digest)    # one snapshot
"""

from carryout.db.database import Database, is_embedded, open_database, sqlite_path
from carryout.db.statements import Query, Statement, among, json_rows, json_text
from carryout.db.transaction import Tx

__all__ = [
    "Database",
    "Query",
    "Statement",
    "Tx",
    "among",
    "is_embedded",
    "json_rows",
    "json_text",
    "open_database",
    "sqlite_path",
]
