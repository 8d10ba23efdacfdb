"""How many requests an address may make."""

from __future__ import annotations

import time
from collections import OrderedDict


class Bucket:
    """A token bucket per address: so many at once, so many per second.

    Parameters
    ----------
    rate_hz
        Requests per second in the long run; ``None`` for any number.
    burst
        Requests that may come at once.
    """

    REMEMBERED = 65_536

    def __init__(self, rate_hz: float | None, burst: int) -> None:
        self.rate_hz = rate_hz
        self.burst = float(burst)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, address: str, now: float | None = None) -> float:
        """Count a request of an address; return 0, or how long it has to wait [s]."""
        if self.rate_hz is None:
            return 0.0
        now = time.monotonic() if now is None else now
        left, seen = self._left.pop(address, (self.burst, now))
        left = min(self.burst, left + (now - seen) * self.rate_hz)
        wait = 0.0 if left >= 1 else (1 - left) / self.rate_hz
        self._left[address] = (left - 1 if left >= 1 else left), now
        if len(self._left) > self.REMEMBERED:
            self._left.popitem(last=False)
        return wait
