"""What networks made elsewhere see of a record: each component less its mean, over its size.

Either is taken over the whole window, as their authors do, or, in a window longer than theirs, over their
length about each sample.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Norm = Literal["std", "peak"]

TINY = 1e-10


def normalise(data: Array, mask: Mask, *, norm: Norm, length: int) -> Array:
    """Return each component less its mean, over its standard deviation or its largest absolute value.

    Parameters
    ----------
    data
        Samples, shape ``(n_channel, n)``.
    mask
        Where they are real; elsewhere the output is zero.
    norm
        ``std`` or ``peak``.
    length
        Samples that both are taken over, about each sample; ``n`` or more takes them over all.

    Returns
    -------
    ndarray
        float32, shape ``(n_channel, n)``.
    """
    out = np.zeros(data.shape, np.float32)
    for row, real, into in zip(data, mask, out):
        if not real.any():
            continue
        if length >= row.size:
            x = row[real].astype(np.float64)
            x -= x.mean()
            size = x.std(ddof=1) if norm == "std" and x.size > 1 else np.abs(x).max()
            into[real] = x / (size + TINY)
        else:
            _about(np.ascontiguousarray(row), np.ascontiguousarray(real), length, norm == "std", into)
    return out


@njit(cache=True)
def _about(x: Array, mask: Mask, length: int, by_std: bool, out: Array) -> None:
    # The samples of blocks are summed once; a mean is that of the blocks within half a length.
    n = x.shape[0]
    block = 64
    n_block = (n + block - 1) // block
    count = np.zeros(n_block + 1)
    total = np.zeros(n_block + 1)
    square = np.zeros(n_block + 1)
    low, high = np.full(n_block, np.inf), np.full(n_block, -np.inf)
    zero = 0.0
    for i in range(n):
        if mask[i]:
            zero = float(x[i])
            break
    for b in range(n_block):
        for i in range(b * block, min((b + 1) * block, n)):
            if mask[i]:
                v = x[i] - zero
                count[b + 1] += 1
                total[b + 1] += v
                square[b + 1] += v * v
                low[b], high[b] = min(low[b], v), max(high[b], v)
    for b in range(n_block):
        count[b + 1] += count[b]
        total[b + 1] += total[b]
        square[b + 1] += square[b]
    reach = max(1, round(length / block)) // 2
    for b in range(n_block):
        first = min(max(0, b - reach), max(0, n_block - 2 * reach - 1))
        last = min(n_block, first + 2 * reach + 1)
        number = count[last] - count[first]
        if number < 2:
            continue
        mean = (total[last] - total[first]) / number
        if by_std:
            variance = (square[last] - square[first]) / number - mean * mean
            size = math.sqrt(max(variance, 0.0) * number / (number - 1))
        else:
            size = 0.0
            for k in range(first, last):
                size = max(size, high[k] - mean, mean - low[k])
        scale = 1.0 / (size + 1e-10)
        for i in range(b * block, min((b + 1) * block, n)):
            if mask[i]:
                out[i] = (x[i] - zero - mean) * scale
