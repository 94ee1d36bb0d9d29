"""Slowing guessers: look-ups that found nothing, counted per minute, address and process (`CARRYOUT_GUESS_LIMIT`).

Only misses are counted, so a shop's own page is never slowed: whoever asks for what exists is always answered.
"""

import math
import time
from typing import Final

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from carryout.errors import CarryoutError, Kind


class TooManyGuesses(CarryoutError):
    """Too many requests for things that do not exist. Please wait a minute and try again."""

    kind = Kind.TOO_MANY

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds  # type: ignore[misc]  # known only when it happens


class GuessLimit:
    """The misses of this process. `limit` is per minute and address; 0 switches it off."""

    def __init__(self, limit: int) -> None:
        self._item: Final = RateLimitItemPerMinute(limit) if limit else None
        self._misses: Final = FixedWindowRateLimiter(MemoryStorage())

    def record_miss(self, network: str) -> int | None:
        """Count a look-up that found nothing; the seconds to wait when it was one too many, else None."""
        if self._item is None or self._misses.hit(self._item, network):
            return None
        window = self._misses.get_window_stats(self._item, network)
        return max(1, math.ceil(window.reset_time - time.time()))

    def refuse_miss(self, network: str) -> None:
        """Count a look-up that found nothing. Errors: `TooManyGuesses`, when it was one too many."""
        wait_seconds = self.record_miss(network)
        if wait_seconds is not None:
            raise TooManyGuesses(wait_seconds)
