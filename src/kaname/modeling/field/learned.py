"""The residual field on a map: learned from all recordings there are, asked at every point of a grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.core.shaking import column_of
from kaname.modeling.field.conditioning import Places
from kaname.modeling.field.residuals import NEEDS, FieldPrediction, ResidualField
from kaname.modeling.ground_motion.contract import GroundMotionModel

Floats = NDArray[np.float64]

_TREES_NEED = ("magnitude", "event_depth_km")
_CHUNK = 1000


@dataclass(frozen=True)
class LearnedField:
    """The distribution of one measure at places, with a law of its own: a `maps.Field`."""

    places: Places
    prediction: FieldPrediction

    @property
    def mean(self) -> Floats:
        """Natural logarithm of the median, shape (n,)."""
        return self.prediction.quantiles([0.5])[:, 0]

    @property
    def sigma(self) -> Floats:
        """Half of what lies between the 16 and 84 % quantiles of the natural logarithm, shape (n,)."""
        low, high = self.prediction.quantiles([0.16, 0.84]).T
        return np.asarray((high - low) / 2)

    @property
    def median(self) -> Floats:
        """Median in the unit of the measure, shape (n,)."""
        return np.asarray(np.exp(self.mean))

    def quantile(self, probability: float) -> Floats:
        """Return the quantile in the unit of the measure, shape (n,)."""
        return np.asarray(np.exp(self.prediction.quantiles([probability])[:, 0]))

    def exceedance(self, level: float) -> Floats:
        """Return the probability of exceeding a level in the unit of the measure, shape (n,)."""
        return self.prediction.exceedance(level)


def learn(
    records: pd.DataFrame, model: GroundMotionModel, measure: str
) -> tuple[ResidualField, pd.DataFrame]:
    """Fit a residual field to the recordings of a measure of all earthquakes.

    Parameters
    ----------
    records
        Rows of `kaname.core.shaking.GROUND_MOTIONS`, a place once per event. Those without the measure or
        without what the model and the field need are left out.
    model
        Whose residuals are learned.
    measure
        Such as ``pga``.

    Returns
    -------
    field
        The fitted field.
    used
        The records that it was fitted to.

    Raises
    ------
    InputError
        When fewer than ten records are left.
    """
    wanted = list(dict.fromkeys((*NEEDS, *_TREES_NEED, *model.needs)))
    table = records[records[column_of(measure)] > 0].dropna(subset=wanted).reset_index(drop=True)
    if len(table) < 10:
        raise InputError(
            f"{len(table)} of {len(records)} records have {measure} and {', '.join(wanted)}; a residual "
            "field is learned from ten or more"
        )
    value = np.log(table[column_of(measure)].to_numpy(float))
    return ResidualField().fit(table, value, model.predict(table, measure)), table


def mapped(
    field: ResidualField, targets: pd.DataFrame, model: GroundMotionModel, measure: str
) -> LearnedField:
    """Return a fitted field at the places of a map, rows of one event; in pieces, so that memory stays."""
    prior = model.predict(targets, measure)
    parts = [
        field.predict(piece, model.predict(piece, measure))
        for piece in (targets.iloc[k : k + _CHUNK] for k in range(0, len(targets), _CHUNK))
    ]
    whole = FieldPrediction(
        np.concatenate([p.mean for p in parts]), np.concatenate([p.scale for p in parts]), field.margin_
    )
    lat, lon = targets["latitude"].to_numpy(float), targets["longitude"].to_numpy(float)
    return LearnedField(Places(measure, lat, lon, prior.mean, prior.tau, prior.phi), whole)
