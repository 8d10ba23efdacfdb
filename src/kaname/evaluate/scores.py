"""Proper scores of predictive distributions, pooled and by event, with intervals that know events are few.

A prediction is scored record by record (`score_normal`, `score_student`, `score_quantiles`,
`score_samples`), `summary` pools the records, and `block_bootstrap` says how far the mean of a score, or of
the difference of two scores, is to be trusted when records of one event go up and down together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln
from scipy.stats import norm
from scipy.stats import t as student

from kaname.core.errors import InputError
from kaname.evaluate.catalogues import wilson

Array = NDArray[np.float64]
Weighting = Literal["record", "block"]

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Central intervals whose coverage is reported."""
TAILS = (0.95, 0.99)
"""Predicted quantiles that observations should exceed with one minus this probability."""
SCORES = ("residual", "log_score", "crps", "pit")
"""Columns of a table of scores, a row per record."""


def score_normal(observed: ArrayLike, mean: ArrayLike, sigma: ArrayLike) -> pd.DataFrame:
    """Score normal predictive distributions.

    Parameters
    ----------
    observed, mean, sigma
        What was observed, and mean and standard deviation predicted of it, shape (n,) or scalar, in one unit
        (natural logarithm of a measure, as a rule).

    Returns
    -------
    DataFrame
        `SCORES`, a row per record: ``residual`` (observed minus mean), ``log_score`` (natural logarithm of
        the density at what was observed; higher is better), ``crps`` (continuous ranked probability score, in
        the unit of the data; lower is better; Gneiting & Raftery 2007,
        https://doi.org/10.1198/016214506000001437, eq. 21) and ``pit`` (probability
        integral transform, uniform where the prediction is calibrated).

    Raises
    ------
    InputError
        When shapes differ, a value is not finite, or a standard deviation is not positive.
    """
    y, mu, s = _finite(observed=observed, mean=mean, sigma=sigma)
    _positive("sigma", s)
    z = (y - mu) / s
    crps = s * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
    return _scores(y - mu, norm.logpdf(z) - np.log(s), crps, norm.cdf(z))


def score_student(observed: ArrayLike, location: ArrayLike, scale: ArrayLike, freedom: float) -> pd.DataFrame:
    """Score Student's t predictive distributions; returns and errors as `score_normal`.

    Parameters
    ----------
    observed, location, scale
        What was observed, and centre and scale (not the standard deviation) predicted of it, shape (n,) or
        scalar.
    freedom
        Degrees of freedom, more than 1: with fewer there is no mean and no CRPS. The CRPS is that of Jordan,
        Krueger & Lerch (2019), https://doi.org/10.18637/jss.v090.i12, appendix A.
    """
    if not freedom > 1:
        raise InputError(f"degrees of freedom must be more than 1, found {freedom}")
    y, mu, s = _finite(observed=observed, location=location, scale=scale)
    _positive("scale", s)
    z = (y - mu) / s
    spread = 2 * np.sqrt(freedom) / (freedom - 1)
    spread *= np.exp(betaln(0.5, freedom - 0.5) - 2 * betaln(0.5, freedom / 2))
    density = student.pdf(z, freedom)
    crps = z * (2 * student.cdf(z, freedom) - 1) + 2 * density * (freedom + z**2) / (freedom - 1) - spread
    return _scores(y - mu, student.logpdf(z, freedom) - np.log(s), s * crps, student.cdf(z, freedom))


def score_quantiles(observed: ArrayLike, quantiles: ArrayLike, probabilities: ArrayLike) -> pd.DataFrame:
    """Score predictive distributions given by their quantiles; returns as `score_normal`.

    The distribution scored is the one whose cumulative probability is linear between the quantiles and
    exponential beyond the first and the last of them, with a density as that of the outermost interval.

    Parameters
    ----------
    observed
        What was observed, shape (n,).
    quantiles
        Predicted, shape (n, k), each row increasing. The residual is taken from the median.
    probabilities
        Of the quantiles, shape (k,), increasing, between 0 and 1 (both excluded).

    Raises
    ------
    InputError
        When shapes differ, a value is not finite, or quantiles or probabilities do not increase.
    """
    p = np.asarray(probabilities, float)
    y, q = np.asarray(observed, float), np.asarray(quantiles, float)
    if p.ndim != 1 or len(p) < 2 or not (np.diff(p) > 0).all() or not 0 < p[0] < p[-1] < 1:
        raise InputError("probabilities must be two or more, increase, and lie between 0 and 1")
    if y.ndim != 1 or q.shape != (len(y), len(p)):
        raise InputError(f"{y.shape} observations and {len(p)} probabilities, but quantiles of {q.shape}")
    if not (np.isfinite(y).all() and np.isfinite(q).all()):
        raise InputError("observations and quantiles must be finite; drop what is missing, and say so")
    width = np.diff(q, axis=1)
    if len(q) and not (width > 0).all():
        raise InputError(f"quantiles of row {int((width <= 0).any(axis=1).argmax())} do not increase")
    low = _below(y, q, p, width)
    high = _below(-y, -q[:, ::-1], 1 - p[::-1], width[:, ::-1])
    inside = (y >= q[:, 0]) & (y <= q[:, -1])
    k = np.clip((y[:, None] >= q).sum(axis=1) - 1, 0, len(p) - 2)
    row = np.arange(len(y))
    density = np.diff(p)[k] / width[row, k]
    tail = np.where(y < q[:, 0], low["log_density"], high["log_density"])
    log_score = np.where(inside, np.log(density), tail)
    cdf = np.where(
        inside, p[k] + density * (y - q[row, k]), np.where(y < q[:, 0], low["cdf"], 1 - high["cdf"])
    )
    median = np.array([np.interp(0.5, p, own) for own in q]) if len(q) else y
    return _scores(y - median, log_score, low["integral"] + high["integral"], cdf)


def _below(y: Array, q: Array, p: Array, width: Array) -> dict[str, Array]:
    """Return the integral of the squared probability below what was observed, and the lower tail."""
    rate = (p[1] - p[0]) / width[:, 0]
    scale = p[0] / rate
    down = np.minimum(y - q[:, 0], 0.0)
    integral = p[0] ** 2 * scale / 2 * np.exp(2 * down / scale)
    end = np.clip(y[:, None], q[:, :-1], q[:, 1:])
    reached = p[:-1] + np.diff(p) * (end - q[:, :-1]) / width
    integral += ((end - q[:, :-1]) * (p[:-1] ** 2 + p[:-1] * reached + reached**2) / 3).sum(axis=1)
    # Above the last quantile, the upper tail 1 - (1 - p) exp(-u / s) counts too.
    share, far = 1 - p[-1], np.maximum(y - q[:, -1], 0.0)
    above = share * width[:, -1] / (p[-1] - p[-2])
    gone = -np.expm1(-far / above)
    integral += far - 2 * share * above * gone - share**2 * above / 2 * np.expm1(-2 * far / above)
    return {
        "integral": integral,
        "cdf": p[0] * np.exp(down / scale),
        "log_density": np.log(rate) + down / scale,
    }


def score_samples(observed: ArrayLike, samples: ArrayLike, *, seed: int = 0) -> pd.DataFrame:
    """Score predictive distributions given by samples of them; returns as `score_normal`.

    The CRPS is the fair one, without the bias of few samples (Ferro 2014, https://doi.org/10.1002/qj.2270);
    the PIT is drawn uniformly between the ranks that what was observed lies between, so that it is uniform
    where the prediction is calibrated. Samples have no density: the log score is missing.

    Parameters
    ----------
    observed
        What was observed, shape (n,).
    samples
        Predicted, shape (n, m), m at least 2. The residual is taken from their mean.
    seed
        Of the draw of the PIT.

    Raises
    ------
    InputError
        When shapes differ, a value is not finite, or there are fewer than two samples.
    """
    y, x = np.asarray(observed, float), np.asarray(samples, float)
    if y.ndim != 1 or x.ndim != 2 or len(x) != len(y) or x.shape[1] < 2:
        raise InputError(
            f"{y.shape} observations, but samples of {x.shape}; expected (n,) and (n, 2 or more)"
        )
    if not (np.isfinite(y).all() and np.isfinite(x).all()):
        raise InputError("observations and samples must be finite; drop what is missing, and say so")
    m = x.shape[1]
    ordered = np.sort(x, axis=1)
    between = (ordered * (2 * np.arange(m) - m + 1)).sum(axis=1) / (m * (m - 1))
    crps = np.abs(x - y[:, None]).mean(axis=1) - between
    draw = np.random.default_rng(seed).uniform(size=len(y))
    first, last = (x < y[:, None]).sum(axis=1), (x <= y[:, None]).sum(axis=1)
    pit = (first + draw * (last - first + 1)) / (m + 1)
    return _scores(y - x.mean(axis=1), np.full(len(y), np.nan), crps, pit)


def summary(
    scores: pd.DataFrame,
    by: ArrayLike | None = None,
    *,
    levels: Sequence[float] = LEVELS,
    tails: Sequence[float] = TAILS,
) -> pd.DataFrame:
    """Pool the scores of records: all of them, and by event where events are given.

    Parameters
    ----------
    scores
        Of `score_normal` and its kin, a row per record.
    by
        Group of each record (event), shape (n,).
    levels
        Central intervals whose coverage is counted.
    tails
        Predicted quantiles whose exceedance is counted.

    Returns
    -------
    DataFrame
        First the row ``all`` (every record counts once); with `by` the row ``mean of groups`` (every group
        counts once) and a row per group. Columns: ``group``, ``n``, ``bias``, ``rmse``, ``log_score``,
        ``crps``, and for each level ``cover_90`` with its 95 % Wilson interval ``cover_90_low``,
        ``cover_90_high`` (as if records were independent; see `block_bootstrap`), for each tail ``above_95``:
        the share of observations above that predicted quantile, which should be one minus its probability.

    Raises
    ------
    InputError
        When there are no records, or not one group for each.
    """
    if scores.empty:
        raise InputError("no scores to summarise; expected a row per record")
    rows = [{"group": "all", **_pooled(scores, levels, tails)}]
    if by is not None:
        group = np.asarray(by)
        if group.shape != (len(scores),):
            raise InputError(f"{len(scores)} records but groups of shape {group.shape}")
        own = [
            {"group": str(k), **_pooled(part, levels, tails)} for k, part in scores.groupby(group, sort=True)
        ]
        mean = pd.DataFrame(own).drop(columns=["group", "n"]).mean()
        intervals = [c for c in mean.index if c.endswith(("_low", "_high"))]
        rows += [{"group": "mean of groups", "n": len(scores), **mean.drop(intervals).to_dict()}, *own]
    return pd.DataFrame(rows)


def _pooled(scores: pd.DataFrame, levels: Sequence[float], tails: Sequence[float]) -> dict[str, float]:
    residual, pit = scores["residual"].to_numpy(), scores["pit"].to_numpy()
    out = {
        "n": len(scores),
        "bias": float(residual.mean()),
        "rmse": float(np.sqrt((residual**2).mean())),
        "log_score": float(scores["log_score"].mean()),
        "crps": float(scores["crps"].mean()),
    }
    for level in levels:
        n_in = int((np.abs(pit - 0.5) <= level / 2).sum())
        low, high = wilson(n_in, len(pit))
        name = f"cover_{100 * level:g}"
        out |= {name: n_in / len(pit), f"{name}_low": low, f"{name}_high": high}
    return out | {f"above_{100 * tail:g}": float((pit > tail).mean()) for tail in tails}


def pit_histogram(pit: ArrayLike, *, n_bin: int = 20) -> Array:
    """Return the density of the probability integral transform in bins of equal width: 1 where calibrated.

    Raises
    ------
    InputError
        When there is none, or one lies outside 0 to 1.
    """
    values = np.asarray(pit, float)
    if not values.size or not ((values >= 0) & (values <= 1)).all():
        raise InputError("expected one or more probabilities from 0 to 1")
    return np.histogram(values, np.linspace(0, 1, n_bin + 1))[0] * n_bin / values.size


def block_bootstrap(
    values: ArrayLike,
    blocks: ArrayLike,
    *,
    weighting: Weighting = "record",
    level: float = 0.95,
    n_draw: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return the mean of ``values`` and its bootstrap interval when whole blocks are drawn.

    For the difference of two models give the difference of their scores, record by record: an interval above
    zero says that the better one would win on other events too.

    Parameters
    ----------
    values
        Shape (n,), such as ``learned["log_score"] - published["log_score"]``.
    blocks
        Block (event, spatial block) of each, shape (n,).
    weighting
        ``record``: every record counts once; ``block``: every block once.
    level
        Probability of the interval (percentiles of the draws).
    n_draw, seed
        Draws, and where they start.

    Raises
    ------
    InputError
        When shapes differ, a value is not finite, or there are fewer than two blocks.
    """
    if weighting not in get_args(Weighting):
        raise InputError(f"unknown weighting {weighting!r}; expected {' or '.join(get_args(Weighting))}")
    v, b = np.asarray(values, float), np.asarray(blocks)
    if v.ndim != 1 or b.shape != v.shape or not np.isfinite(v).all():
        raise InputError(f"finite values and their blocks expected, found shapes {v.shape} and {b.shape}")
    _, which = np.unique(b, return_inverse=True)
    n_block = int(which.max()) + 1 if len(v) else 0
    if n_block < 2:
        raise InputError(f"an interval needs two or more blocks, found {n_block}")
    count = np.bincount(which).astype(float)
    total = np.bincount(which, v)
    if weighting == "block":
        total, count = total / count, np.ones(n_block)
    rng = np.random.default_rng(seed)
    means = np.empty(n_draw)
    for i in range(n_draw):
        drawn = rng.integers(n_block, size=n_block)
        means[i] = total[drawn].sum() / count[drawn].sum()
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(total.sum() / count.sum()), float(low), float(high)


def _scores(residual: Array, log_score: Array, crps: Array, pit: Array) -> pd.DataFrame:
    return pd.DataFrame(dict(zip(SCORES, (residual, log_score, crps, pit), strict=True)))


def _finite(**arrays: ArrayLike) -> list[Array]:
    values = [np.asarray(a, float) for a in arrays.values()]
    n = len(values[0]) if values[0].ndim == 1 else -1
    for name, a in zip(arrays, values, strict=True):
        if n < 0 or a.shape not in ((), (n,)):
            raise InputError(f"{name} has shape {a.shape}; expected one value per observation")
        if not np.isfinite(a).all():
            raise InputError(f"{name} is not finite everywhere; drop what is missing, and say so")
    return [np.broadcast_to(a, (n,)) for a in values]


def _positive(name: str, values: Array) -> None:
    if not (values > 0).all():
        raise InputError(f"{name} must be positive, found {values.min()}")
