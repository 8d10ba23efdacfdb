"""How many requests an address may make."""

from __future__ import annotations

import time
from ipaddress import IPv6Address, ip_address

from kaname.center.workers import Numbers


class Bucket:
    """So many requests of an address at once, so many per second in the long run, in all processes together.

    Every request puts off by one period when the next would be due at the allowed rate; who is further ahead
    of that than the burst waits (the generic cell rate algorithm, ITU-T I.371).

    Parameters
    ----------
    rate_hz
        Requests per second in the long run; ``None`` for any number.
    burst
        Requests that may come at once.
    due
        When the next request of an address would be due.
    """

    def __init__(self, rate_hz: float | None, burst: int, due: Numbers) -> None:
        self.rate_hz = rate_hz
        self.burst = burst
        self._due = due

    def wait_s(self, address: str, now: float | None = None) -> float:
        """Count a request of an address; return 0, or how long it has to wait [s]."""
        if self.rate_hz is None:
            return 0.0
        now = time.monotonic() if now is None else now  # one clock for all processes of a machine
        name = neighbourhood(address)
        due = max(self._due[name], now)
        wait = due - now - (self.burst - 1) / self.rate_hz
        if wait > 0:
            return wait
        self._due[name] = due + 1 / self.rate_hz
        return 0.0


def neighbourhood(address: str) -> str:
    """Return what counts as one address: of IPv6 the first 64 bits, all of which one customer has."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    return str(parsed.ipv4_mapped or f"{int(parsed) >> 64:016x}")
