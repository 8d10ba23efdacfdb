"""Integer columns in few bytes, unpacked without a loop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_WIDTHS = (0, 1, 2, 4, 8)


def pack(*columns: NDArray[np.int64]) -> bytes:
    """Pack integer columns of one length.

    Each column has a head of three 64-bit little-endian integers: first value, step, and width in bytes of
    what follows. After all heads stand, column by column, the differences from the line ``first + step * i``
    as little-endian integers of that width (0: none). So the offsets of records of one length cost no more.
    """
    heads, bodies = [], []
    for values in columns:
        n = len(values)
        first = int(values[0])
        step = round((int(values[-1]) - first) / (n - 1)) if n > 1 else 0
        rest = values - (np.arange(first, first + step * n, step) if step else first)
        most = max(int(rest.max()), -int(rest.min()))
        width = next(w for w in _WIDTHS if most < max(1 << 8 * w >> 1, 1))
        heads += [first, step, width]
        if width:
            bodies.append(rest.astype(f"<i{width}").tobytes())
    return np.array(heads, "<i8").tobytes() + b"".join(bodies)


def unpack(blob: bytes, n: int, n_column: int = 4) -> list[NDArray[np.int64]]:
    """Return the columns of ``n`` integers that `pack` has packed."""
    heads = np.frombuffer(blob, "<i8", 3 * n_column).tolist()
    at = 24 * n_column
    columns = []
    for first, step, width in zip(heads[0::3], heads[1::3], heads[2::3]):
        values = np.arange(first, first + step * n, step) if step else np.full(n, first)
        if width:
            values += np.frombuffer(blob, f"<i{width}", n, at)
            at += width * n
        columns.append(values)
    return columns
