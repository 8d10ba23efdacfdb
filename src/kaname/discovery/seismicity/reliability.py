"""Daily and weekly probabilities issued one after the other, as they would have been, and what happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from kaname.core.errors import InputError
from kaname.discovery.seismicity.contract import SeismicityModel, Target


def hindcast(
    model: SeismicityModel,
    catalogue: pd.DataFrame,
    target: Target,
    *,
    days: float,
    magnitudes: Sequence[float],
    n: int = 1000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Forecast window after window of a period, each from what happened before it.

    Parameters
    ----------
    model
        Fitted to what happened before ``target.start``.
    catalogue, target
        Events, and the period that is cut into windows; what is left at the end is not used.
    days
        Length of a window [day].
    magnitudes
        Least magnitudes.
    n, seed
        Simulations per window, and the seed of the first.
    progress
        Called with the windows done and to do.

    Returns
    -------
    windows
        ``start``, ``magnitude_min``, ``expected``, ``probability`` of one or more, ``count``, ``happened``:
        for `kaname.evaluate.calibration.reliability`.

    Raises
    ------
    InputError
        When not even one window fits.
    """
    n_window = int(target.days / days + 1e-9)
    if n_window < 1:
        raise InputError(f"no window of {days:g} days fits into {target.days:g}")
    step = np.timedelta64(round(days * 86400e9), "ns")
    time = catalogue["time"].to_numpy("datetime64[ns]")
    inside = target.region.contains(catalogue["longitude"], catalogue["latitude"])
    rows = []
    for k in range(n_window):
        start = target.start + k * step
        window = Target(target.region, start, start + step, target.magnitude_min, target.history)
        made = model.simulate(catalogue[time < start], window, n=n, seed=seed + k)
        seen = catalogue.loc[inside & (time >= start) & (time < start + step), "magnitude"].to_numpy(float)
        for least in magnitudes:
            simulation = made.loc[made["magnitude"] >= least - 1e-9, "simulation"].to_numpy()
            count = int((seen >= least - 1e-9).sum())
            p = len(np.unique(simulation)) / n
            rows.append((start, least, len(simulation) / n, p, count, count > 0))
        if progress is not None:
            progress(k + 1, n_window)
    return pd.DataFrame(
        rows, columns=["start", "magnitude_min", "expected", "probability", "count", "happened"]
    )
