"""Who sends a file's bytes: we do, or somebody to whom the request is handed over."""

import enum

from carryout.entitlements.model import OrderView
from carryout.sessions.model import Delivery


class Handover(enum.Enum):
    """To whom this installation can hand a request over."""

    NOBODY = "nobody"
    PROXY = "the nginx in front of us, which reads our folder (X-Accel-Redirect)"
    OBJECT_STORE = "the object store, by a URL that it signed, where the order's store asks for it"

    def delivery(self, order: OrderView) -> Delivery:
        """How a file of this order is delivered."""
        is_wanted = self is Handover.PROXY or (self is Handover.OBJECT_STORE and order.settings.delivery == "redirect")
        return Delivery.REDIRECT if is_wanted else Delivery.SENT
