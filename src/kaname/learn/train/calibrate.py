"""What a picker's peaks are worth: probability from area, uncertainty from spread, least probabilities.

All is measured on windows of records and noise not trained on, through the same code that reads peaks
in use. How often a peak of some area is true depends on how many earthquakes there are: the probabilities are
those of the windows made here, in which earthquakes are frequent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize

from kaname.learn.engine.condition import RATE_HZ
from kaname.learn.engine.peaks import PHASES, curves, find_peaks
from kaname.learn.simulate.augment import Window

Floats = NDArray[np.float64]

EDGE = 300
APART_S = 0.5
TOLERANCE_S = 0.5
LEAST_SIGMA_S = 0.005


@dataclass(frozen=True)
class Found:
    """Peaks of one phase in many windows, and what became of the onsets.

    Parameters
    ----------
    area, spread_s
        Of each peak (`kaname.learn.engine.peaks.Peaks`).
    residual_s
        Peak minus the onset it belongs to [s]; NaN where it belongs to none.
    n_onset
        Onsets there were.
    """

    area: Floats
    spread_s: Floats
    residual_s: Floats
    n_onset: int

    @property
    def true(self) -> NDArray[np.bool_]:
        """Which peaks belong to an onset."""
        return np.isfinite(self.residual_s)


def find(
    logits: Callable[[NDArray[np.float32]], NDArray[np.float32]], windows: list[Window], sigma_s: float
) -> dict[str, Found]:
    """Read the peaks of windows and match them with the onsets, the nearest first, within half a second.

    Parameters
    ----------
    logits
        The network: from (1, 6, n) to (1, 12, n / 4).
    windows
        Windows with known onsets; where the truth is not known peaks are left out.
    sigma_s
        Width of the label's kernel [s].
    """
    rows: dict[str, list[tuple[float, float, float]]] = {phase: [] for phase in PHASES}
    n_onset = dict.fromkeys(PHASES, 0)
    for window in windows:
        both = curves(logits(window.x[np.newaxis])[0])
        n = window.x.shape[1]
        for k, phase in enumerate(PHASES):
            peaks = find_peaks(
                both[k],
                low=EDGE,
                high=n - EDGE,
                apart=round(APART_S * RATE_HZ),
                rate_hz=RATE_HZ,
                kernel_s=sigma_s,
            )
            onsets = np.array([at for number, at in window.onsets if number == k])
            seen = [EDGE <= at < n - EDGE and bool(window.known[int(at)]) for at in onsets]
            n_onset[phase] += int(np.sum(seen))
            residual = _match(peaks.position, onsets)
            for position, area, spread, r in zip(peaks.position, peaks.area, peaks.spread, residual):
                if window.known[int(position)]:
                    rows[phase].append((area, spread, r))
    out = {}
    for phase, values in rows.items():
        table = np.array(values, float).reshape(-1, 3)
        out[phase] = Found(table[:, 0], table[:, 1], table[:, 2], n_onset[phase])
    return out


def calibrate(found: dict[str, Found], *, timing: dict[str, Found]) -> dict[str, Any]:
    """Return the fields ``probability``, ``uncertainty`` and ``thresholds`` of a picker's card.

    Parameters
    ----------
    found
        Peaks that tell how often a peak is true.
    timing
        Peaks that tell how well true ones are timed.
    """
    probability, uncertainty, thresholds = {}, {}, {}
    for phase, f in found.items():
        probability[phase] = probability_map(f.area, f.true)
        t = timing[phase]
        uncertainty[phase] = sigma_line(t.spread_s[t.true], t.residual_s[t.true])
        thresholds[phase] = _best_f1(
            np.interp(f.area, probability[phase]["value"], probability[phase]["probability"]),
            f.true,
            f.n_onset,
        )
    return {"probability": probability, "uncertainty": uncertainty, "thresholds": thresholds}


def probability_map(area: Floats, true: NDArray[np.bool_]) -> dict[str, list[float]]:
    """Fit the share of true peaks as a rising function of area, by isotonic regression, in a dozen knots."""
    order = np.argsort(area, kind="stable")
    share = isotonic_regression(true[order].astype(float)).x
    groups = [g for g in np.array_split(np.arange(len(order)), 12) if g.size]
    value = [float(np.mean(area[order][g])) for g in groups]
    level = [float(np.clip(np.mean(share[g]), 0.001, 0.999)) for g in groups]
    keep = np.concatenate([[True], np.diff(value) > 1e-4])
    return {
        "value": [round(v, 4) for v, k in zip(value, keep) if k],
        "probability": [round(v, 4) for v, k in zip(level, keep) if k],
    }


def sigma_line(spread_s: Floats, residual_s: Floats) -> tuple[float, float]:
    """Fit ``sigma = a + b * spread`` by maximum likelihood of Student's t with 4 degrees of freedom.

    The line is then scaled so that 68.3 % of the residuals lie within one sigma.
    """
    residual = np.abs(residual_s)

    def cost(p: Floats) -> float:
        sigma = np.maximum(np.exp(p[0]) + np.exp(p[1]) * spread_s, LEAST_SIGMA_S)
        return float(np.mean(np.log(sigma) + 2.5 * np.log1p((residual / sigma) ** 2 / 4)))

    a, b = np.exp(minimize(cost, np.log([0.02, 0.5]), method="Nelder-Mead").x)
    scale = float(np.quantile(residual / np.maximum(a + b * spread_s, LEAST_SIGMA_S), 0.683))
    return round(float(a * scale), 5), round(float(b * scale), 4)


def _match(position: Floats, onsets: Floats) -> Floats:
    """Residual of each peak to an onset of its own [s], NaN where there is none near."""
    out = np.full(position.shape, np.nan)
    gap = np.abs(position[:, np.newaxis] - onsets[np.newaxis]) / RATE_HZ
    while gap.size and gap.min() <= TOLERANCE_S:
        i, j = np.unravel_index(int(gap.argmin()), gap.shape)
        out[i] = (position[i] - onsets[j]) / RATE_HZ
        gap[i], gap[:, j] = np.inf, np.inf
    return out


def _best_f1(probability: Floats, true: NDArray[np.bool_], n_onset: int) -> float:
    order = np.argsort(-probability, kind="stable")
    hits = np.cumsum(true[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + n_onset)
    return round(float(probability[order][int(f1.argmax())]), 3)
