"""Whether stated probabilities and uncertainties are what they say."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from kaname.core.errors import InputError
from kaname.evaluate.catalogues import wilson

FREEDOM = 4
"""Degrees of freedom of the law of errors of onset times: a few miss by more than a normal law allows."""
ONE_SIGMA = 0.682689
NOMINAL = {
    percent: float(student.ppf((1 + share) / 2, FREEDOM) / student.ppf((1 + ONE_SIGMA) / 2, FREEDOM))
    for percent, share in ((50, 0.5), (68, ONE_SIGMA), (90, 0.9), (95, 0.95))
}
"""Nominal coverage [%] and half-width of that interval over the stated uncertainty, that of 68.27 %."""


def coverage(residual_s: ArrayLike, sigma_s: ArrayLike) -> pd.DataFrame:
    """Return how often residuals lie within multiples of their stated uncertainty.

    The uncertainty is half the width of the interval that holds 68.27 %; the others follow from Student's t
    with `FREEDOM` degrees of freedom (Lange et al. 1989, https://doi.org/10.1080/01621459.1989.10478852).

    Parameters
    ----------
    residual_s
        Stated minus true, shape (n,) [s].
    sigma_s
        Stated uncertainty, shape (n,) [s]; where it is not finite, nothing was stated and it does not
        count.

    Returns
    -------
    DataFrame
        A row per level of `NOMINAL`: ``nominal`` (share, 0 to 1), ``n``, ``n_covered``, ``observed`` with its
        95 % Wilson interval ``observed_low`` and ``observed_high``, and ``within``, whether the interval
        holds the nominal share.

    Raises
    ------
    InputError
        When the shapes differ.
    """
    residual, sigma = _pair(residual_s, sigma_s)
    stated = np.isfinite(sigma) & np.isfinite(residual)
    ratio = np.abs(residual[stated]) / np.maximum(sigma[stated], 1e-12)
    rows = []
    for percent, width in NOMINAL.items():
        nominal = ONE_SIGMA if percent == 68 else percent / 100
        row = _share(int((ratio <= width).sum()), ratio.size)
        rows.append(
            {
                "nominal": nominal,
                "n": ratio.size,
                "n_covered": row[0],
                "observed": row[1],
                "observed_low": row[2],
                "observed_high": row[3],
                "within": bool(row[2] <= nominal <= row[3]),
            }
        )
    return pd.DataFrame(rows)


def reliability(probability: ArrayLike, true: ArrayLike, *, n_bin: int = 10) -> pd.DataFrame:
    """Return the share of what was true by stated probability: a reliability diagram.

    Parameters
    ----------
    probability
        Stated, 0 to 1, shape (n,).
    true
        Whether it was so, shape (n,).
    n_bin
        Number of bins of equal width; empty bins have a row too.

    Returns
    -------
    DataFrame
        ``low`` and ``high`` (edges), ``n``, ``stated`` (mean probability), ``observed`` with its 95 % Wilson
        interval ``observed_low`` and ``observed_high``. What cannot be computed is missing.

    Raises
    ------
    InputError
        When the shapes differ or a probability lies outside 0 to 1.
    """
    p, t = _pair(probability, true)
    if not (np.isfinite(p) & (p >= 0) & (p <= 1)).all():
        raise InputError("a probability must lie between 0 and 1, found others")
    if n_bin < 1:
        raise InputError(f"the number of bins must be positive, found {n_bin}")
    which = np.minimum((p * n_bin).astype(int), n_bin - 1)
    rows = []
    for k in range(n_bin):
        own = which == k
        _, share, low, high = _share(int(t[own].sum()), int(own.sum()))
        rows.append(
            {
                "low": k / n_bin,
                "high": (k + 1) / n_bin,
                "n": int(own.sum()),
                "stated": float(p[own].mean()) if own.any() else np.nan,
                "observed": share,
                "observed_low": low,
                "observed_high": high,
            }
        )
    return pd.DataFrame(rows)


def calibration_error(diagram: pd.DataFrame) -> float:
    """Return the mean distance of stated from observed over a reliability diagram, weighed by number.

    Expected calibration error (Naeini et al. 2015, AAAI); NaN when nothing was stated.
    """
    n = diagram["n"].to_numpy()
    if not n.sum():
        return float("nan")
    gap = (diagram["stated"] - diagram["observed"]).abs().fillna(0.0).to_numpy()
    return float((n * gap).sum() / n.sum())


def poisson_interval(count: int, exposure: float) -> tuple[float, float]:
    """Return the exact 95 % interval of a rate (Garwood 1936), in counts per unit of exposure."""
    from scipy.stats import chi2

    if not exposure > 0:
        return float("nan"), float("nan")
    low = chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    return float(low / exposure), float(chi2.ppf(0.975, 2 * count + 2) / 2 / exposure)


def _share(part: int, whole: int) -> tuple[int, float, float, float]:
    low, high = wilson(part, whole)
    return part, part / whole if whole else np.nan, low, high


def _pair(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise InputError(f"two lists of the same length expected, found shapes {first.shape}, {second.shape}")
    return first, second
