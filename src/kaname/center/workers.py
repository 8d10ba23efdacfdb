"""What the worker processes of a data centre share: a secret, and numbers by name."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from hashlib import blake2b
from multiprocessing import get_context


class Numbers:
    """A number for each of many names, 0 at first, shared with the worker processes it is handed to.

    Names share a number where their hashes fall together, once in a quarter of a million; the hash has a key,
    so that nobody can aim at another's. Two processes that write at the same moment keep one of the two.
    """

    N = 1 << 18

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)
        self._numbers = get_context("spawn").RawArray("d", self.N)

    def __getitem__(self, name: str) -> float:
        return float(self._numbers[self._place(name)])

    def __setitem__(self, name: str, value: float) -> None:
        self._numbers[self._place(name)] = value

    def _place(self, name: str) -> int:
        hashed = blake2b(name.encode(), digest_size=8, key=self._key).digest()
        return int.from_bytes(hashed, "little") % self.N


@dataclass(frozen=True)
class Shared:
    """What all worker processes know."""

    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    """What nonces of authentication are signed with."""
    due: Numbers = field(default_factory=Numbers)
    """When the requests of an address would have come at the rate it is allowed [s]."""
    uses: Numbers = field(default_factory=Numbers)
    """The last use of each nonce: when it was made and how often it has been used, newer ones greater."""
