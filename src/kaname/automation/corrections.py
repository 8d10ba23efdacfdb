"""Station corrections: what the residuals of many events say about the paths to each station."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kaname.automation.posterior import USED_WEIGHT
from kaname.core import tables
from kaname.core.errors import InputError


def station_corrections(
    arrivals: pd.DataFrame, stations: pd.DataFrame, *, shrinkage: float = 5.0, minimum_arrivals: int = 3
) -> pd.DataFrame:
    """Return the stations with corrections estimated from the residuals of located events.

    The median residual of each station and phase, times ``n / (n + shrinkage)``, is added to the correction
    the events were located with, so that it may be repeated. It stands for one correction everywhere: right
    for a cluster or a site effect, an average for sources all around.

    Parameters
    ----------
    arrivals
        The ``arrivals`` table of a location with ``stations``; those that had no share in their solution do
        not count.
    stations
        The ``stations`` table.
    shrinkage
        Number of arrivals whose worth the assumption of no correction has.
    minimum_arrivals
        Stations with fewer keep the correction they had.

    Raises
    ------
    InputError
        When ``shrinkage`` is negative or ``minimum_arrivals`` is below 1.
    """
    if not shrinkage >= 0 or minimum_arrivals < 1:
        raise InputError(
            f"shrinkage {shrinkage} and minimum_arrivals {minimum_arrivals}; expected >= 0 and >= 1"
        )
    arrivals = tables.validate(arrivals, tables.ARRIVALS)
    out = tables.validate(stations, tables.STATIONS)
    counted = arrivals[(arrivals["weight"] >= USED_WEIGHT) & arrivals["residual_s"].notna()]
    for phase, column in (("P", "p_correction_s"), ("S", "s_correction_s")):
        own = counted[counted["phase"] == phase]
        residual = own["residual_s"].to_numpy()
        network, station = own["network"].to_numpy(), own["station"].to_numpy()
        corrected = np.nan_to_num(out[column].to_numpy())
        for i, (net, name) in enumerate(zip(out["network"], out["station"])):
            same = (station == name) & ((network == net) | (network == "") | (net == ""))
            n = int(same.sum())
            if n >= minimum_arrivals:
                corrected[i] += np.median(residual[same]) * n / (n + shrinkage)
        out[column] = corrected
    return out
