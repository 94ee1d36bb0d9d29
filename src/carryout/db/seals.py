"""Which secret keys the database needs: sealed texts begin with the id of theirs, events name it (`keyring.py`)."""

from typing import Final

from sqlalchemy import func, select, union

from carryout.db.statements import Query
from carryout.db.tables import api_calls, event_chains, events, inbox, orders, stores
from carryout.db.transaction import Tx
from carryout.keyring import KEY_ID_BYTES

_SEALED: Final = (
    stores.c.webhook_secret, stores.c.previous_secret, orders.c.person, inbox.c.body, events.c.user_agent,
    events.c.key_id, event_chains.c.key_id, api_calls.c.reply,
)  # fmt: skip
_LIST: Final = Query(
    union(
        *(
            select(func.substr(column, 1, KEY_ID_BYTES).label("key_id")).where(column.is_not(None)).distinct()
            for column in _SEALED
        )
    ),
    bytes,
)


async def list_key_ids(tx: Tx) -> list[bytes]:
    """The ids of all keys that something is sealed or chained under. It reads every such row: use `Database.sweep`."""
    return await tx.all(_LIST)
