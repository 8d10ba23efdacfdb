"""Stress drop of earthquakes from the Fourier spectra of their records."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import InputError
from kaname.earth.moment import moment_nm

Floats = NDArray[np.float64]
Kind = Literal["displacement", "velocity", "acceleration"]

BRUNE = 2.34
"""Radius of the source times 2 pi times the corner frequency over the shear velocity (Brune 1970)."""
_N_CORNER = 120
_CHI2 = 1.0
"""Rise of minus twice the log likelihood at the ends of the 68 % interval of one parameter."""


def stress_drops(
    frequency_hz: ArrayLike,
    spectra: ArrayLike,
    event: ArrayLike,
    magnitude: ArrayLike,
    *,
    kind: Kind = "acceleration",
    shear_velocity_km_s: float = 3.5,
) -> pd.DataFrame:
    """Return corner frequency and stress drop of each event, by Brune's spectrum, paths taken out.

    The logarithm of a spectrum is ``level - pi f t* - ln(1 + (f / fc)^2)``, plus one or two times
    ``ln(2 pi f)`` for velocity and acceleration. Level and attenuation ``t*`` are of the record, the corner
    ``fc`` of the event: with many records of an event, what they share is told from what they do not.

    Parameters
    ----------
    frequency_hz
        Shape (m,), positive and increasing; where the records are above the noise.
    spectra
        Fourier amplitudes of S waves, any unit, shape (n, m); NaN where not to be used.
    event
        Labels, shape (n,).
    magnitude
        Moment magnitude of each record's event, shape (n,).
    kind
        What the spectra are of.
    shear_velocity_km_s
        At the source.

    Returns
    -------
    DataFrame
        Indexed by event: ``corner_hz`` with its 68 % interval ``corner_low_hz`` and ``corner_high_hz``,
        ``stress_drop_mpa`` (Brune 1970, https://doi.org/10.1029/JB075i026p04997; Eshelby's 7/16), ``n`` and
        ``resolved``: whether the interval ends within the frequencies given. Residuals of neighbouring
        frequencies are counted as if independent: the interval is too narrow rather than too wide.

    Raises
    ------
    InputError
        When shapes differ, a frequency or amplitude is not positive, a record has fewer than five
        frequencies, or the kind is unknown.
    """
    if kind not in get_args(Kind):
        raise InputError(f"unknown spectra {kind!r}; expected one of {', '.join(get_args(Kind))}")
    f, a = np.asarray(frequency_hz, float), np.asarray(spectra, float)
    labels, mw = np.asarray(event), np.asarray(magnitude, float)
    if f.ndim != 1 or a.ndim != 2 or a.shape != (len(labels), len(f)) or mw.shape != labels.shape:
        raise InputError(
            f"{f.shape} frequencies, {labels.shape} events, {mw.shape} magnitudes, spectra {a.shape}"
        )
    if not ((f > 0).all() and (np.diff(f) > 0).all()) or (a <= 0).any() or not np.isfinite(mw).all():
        raise InputError("frequencies must increase, amplitudes be positive and magnitudes be there")
    used = np.isfinite(a)
    if (used.sum(axis=1) < 5).any():
        raise InputError(f"row {int((used.sum(axis=1) < 5).argmax())} has fewer than five usable frequencies")
    power = get_args(Kind).index(kind)
    level = np.where(used, np.log(np.where(used, a, 1.0)) - power * np.log(2 * np.pi * f), 0.0)
    corners = np.geomspace(f[0] / 2, f[-1] * 2, _N_CORNER)
    squares = np.array([_misfit(level + np.log1p((f / fc) ** 2) * used, used, f) for fc in corners])
    which, names = pd.factorize(labels, sort=True)
    rows = []
    for k in range(len(names)):
        mine = which == k
        total = squares[:, mine].sum(axis=1)
        # Two parameters are of each record, and one of the event.
        freedom = max(int(used[mine].sum() - 2 * mine.sum() - 1), 1)
        best, low, high = _minimum(np.log(corners), total, total.min() / freedom)
        moment = float(moment_nm(mw[mine][0]))
        radius_m = BRUNE * shear_velocity_km_s * 1000.0 / (2 * np.pi * np.exp(best))
        rows.append(
            {
                "corner_hz": float(np.exp(best)),
                "corner_low_hz": float(np.exp(low)),
                "corner_high_hz": float(np.exp(high)),
                "stress_drop_mpa": 7.0 / 16.0 * moment / radius_m**3 / 1e6,
                "n": int(mine.sum()),
                "resolved": bool(np.log(f[0]) < low and high < np.log(f[-1])),
            }
        )
    return pd.DataFrame(rows, index=pd.Index(names, name="event_id"))


def _misfit(level: Floats, used: NDArray[np.bool_], f: Floats) -> Floats:
    """Return each record's sum of squares about its own line ``level - pi f t*``, t* not negative."""
    n = used.sum(axis=1)
    x = np.where(used, -np.pi * f, 0.0)
    mean_x, mean_y = x.sum(axis=1) / n, level.sum(axis=1) / n
    dx = np.where(used, x - mean_x[:, None], 0.0)
    dy = np.where(used, level - mean_y[:, None], 0.0)
    slope = np.maximum((dx * dy).sum(axis=1) / (dx**2).sum(axis=1), 0.0)
    return np.asarray(((dy - slope[:, None] * dx) ** 2).sum(axis=1))


def _minimum(x: Floats, total: Floats, variance: float) -> tuple[float, float, float]:
    """Return where a scanned sum of squares is least, and where it has risen by one variance."""
    i = int(total.argmin())
    best = float(x[i])
    if 0 < i < len(x) - 1:
        curve = total[i - 1] - 2 * total[i] + total[i + 1]
        best += float(0.5 * (total[i - 1] - total[i + 1]) / curve * (x[1] - x[0])) if curve > 0 else 0.0
    inside = np.flatnonzero(total <= total.min() + _CHI2 * max(variance, 1e-300))
    step = x[1] - x[0]
    return best, min(float(x[inside[0]]), best) - step / 2, max(float(x[inside[-1]]), best) + step / 2
