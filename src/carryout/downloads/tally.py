"""What the transfers of one session in this process may still send, and what they sent that is not recorded yet."""

from collections.abc import Sequence
from typing import NamedTuple

from carryout.sessions.model import Progress, Span
from carryout.sessions.service import add_interval


class Portion(NamedTuple):
    """Bytes of the part at `position`, from `start` to before `end`."""

    position: int
    start: int
    end: int

    @property
    def size_bytes(self) -> int:
        """How many."""
        return self.end - self.start


class Tally:
    """Counters of one session, shared by its transfers. `literal_bytes` is what it may send that is of no part.

    A portion is reserved before it is sent, so that transfers side by side do not pass the budget together; then it is
    delivered, or released when it never left. What was delivered is taken to be recorded, and put back if that failed.
    """

    def __init__(self, left_bytes: Sequence[int], literal_bytes: int) -> None:
        self._left = list(left_bytes)
        self._literal_left_bytes = literal_bytes
        self._reserved: dict[int, int] = {}
        self._sent: dict[int, int] = {}
        self._delivered: dict[int, tuple[Span, ...]] = {}
        self.unrecorded_bytes = 0
        self._taken_bytes = 0

    @property
    def at_risk_bytes(self) -> int:
        """What was sent and only this process knows of: a crash loses it."""
        return self.unrecorded_bytes + self._taken_bytes

    @property
    def has_news(self) -> bool:
        """Whether there is something to record."""
        return bool(self._sent)

    @property
    def left_bytes(self) -> tuple[int, ...]:
        """What its parts may still send, as far as is known here."""
        return tuple(self._left)

    def lower(self, left_bytes: Sequence[int]) -> None:
        """No part has more left than this: it was known here before."""
        self._left = [min(pair) for pair in zip(self._left, left_bytes, strict=True)]

    @property
    def is_used_up(self) -> bool:
        """Whether no part has anything left."""
        return not any(left > 0 for left in self._left)

    def reserve(self, position: int, start: int, wanted_bytes: int) -> Portion:
        """So much of what is wanted as the part's budget allows; an empty portion when it is used up."""
        portion = Portion(position, start, start + max(min(wanted_bytes, self._left[position]), 0))
        self._left[position] -= portion.size_bytes
        self._reserved[position] = self._reserved.get(position, 0) + portion.size_bytes
        return portion

    def spend_literal(self, size_bytes: int) -> bool:
        """Whether so much that is of no part may still be sent; then it is counted."""
        self._literal_left_bytes -= size_bytes
        return self._literal_left_bytes >= 0

    def release(self, portion: Portion) -> None:
        """It never left."""
        self._unreserve(portion)
        self._left[portion.position] += portion.size_bytes

    def deliver(self, portion: Portion) -> None:
        """It was handed to the network; an empty portion says that a part of zero bytes was."""
        position, start, end = portion
        self._unreserve(portion)
        self._sent[position] = self._sent.get(position, 0) + portion.size_bytes
        self._delivered[position] = add_interval(self._delivered.get(position, ()), start, end)
        self.unrecorded_bytes += portion.size_bytes

    def take(self) -> list[Progress]:
        """What is to be recorded; one at a time, until `settle` or `put_back`."""
        taken = [Progress(position, sent, self._delivered[position]) for position, sent in self._sent.items()]
        self._taken_bytes, self.unrecorded_bytes = self.unrecorded_bytes, 0
        self._sent, self._delivered = {}, {}
        return taken

    def settle(self, remaining_bytes: Sequence[int]) -> None:
        """It was recorded, and this is what the session's parts have left, all processes together."""
        self._taken_bytes = 0
        for position, remaining in enumerate(remaining_bytes):
            known = self._sent.get(position, 0) + self._reserved.get(position, 0)
            self._left[position] = remaining - known

    def put_back(self, taken: Sequence[Progress]) -> None:
        """It could not be recorded."""
        for progress in taken:
            position = progress.position
            self._sent[position] = self._sent.get(position, 0) + progress.sent_bytes
            spans = self._delivered.get(position, ())
            for start, end in progress.delivered:
                spans = add_interval(spans, start, end)
            self._delivered[position] = spans
        self.unrecorded_bytes += self._taken_bytes
        self._taken_bytes = 0

    def _unreserve(self, portion: Portion) -> None:
        left = self._reserved.get(portion.position, 0) - portion.size_bytes
        if left > 0:
            self._reserved[portion.position] = left
        else:
            self._reserved.pop(portion.position, None)
