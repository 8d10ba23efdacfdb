"""Boore, Stewart, Seyhan and Atkinson (2014): shallow crustal earthquakes of active regions (NGA-West2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kaname.core.errors import InputError
from kaname.core.shaking import GRAVITY_CM_S2, period_of
from kaname.earth.sites import z1pt0_m_of
from kaname.modeling.ground_motion.coefficients import Coefficients
from kaname.modeling.ground_motion.contract import Floats, Prediction, model, needed

if TYPE_CHECKING:
    import pandas as pd

_CHOICES = {
    "region": ("california", "china_turkey", "italy_japan"),
    "basin": ("none", "california", "japan"),
    "mechanism": ("rake", "unspecified"),
}
_REFERENCE_VS30 = 760.0
_TABLE = Coefficients("boore_2014")


@model("boore_2014")
class Boore2014:
    """NGA-West2 equations of Boore et al. (2014), DOI 10.1193/070113EQS184M.

    RotD50 horizontal; PGA, PGV and SA 0.01 to 10 s. Equations 2 to 12 give the median, 13 to 17 the standard
    deviations.

    Parameters
    ----------
    region
        Anelastic attenuation: that of ``california`` (also New Zealand and Taiwan), less in ``china_turkey``,
        more in ``italy_japan``.
    basin
        Whose relation of Vs30 and the depth z1.0 the site's z1.0 is measured against (``california``,
        ``japan``); ``none`` leaves the depth of the basin out, and then no z1.0 is needed. Below 0.65 s and
        for peaks there is no such term.
    mechanism
        ``rake`` takes the style of faulting from the rake (within 30 degrees of horizontal: strike-slip);
        ``unspecified`` is for earthquakes whose style is not known.
    """

    name = "boore_2014"
    component = "rotd50"

    def __init__(
        self,
        *,
        region: Literal["california", "china_turkey", "italy_japan"] = "california",
        basin: Literal["none", "california", "japan"] = "none",
        mechanism: Literal["rake", "unspecified"] = "rake",
    ) -> None:
        for option, value in (("region", region), ("basin", basin), ("mechanism", mechanism)):
            if value not in _CHOICES[option]:
                raise InputError(f"{option} {value!r}; expected one of {', '.join(_CHOICES[option])}")
        self.region = region
        self.basin = basin
        self.mechanism = mechanism

    @property
    def measures(self) -> tuple[str, ...]:
        """PGA, PGV and the 105 periods of the published table."""
        return _TABLE.measures

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns that must not be missing."""
        return (
            "magnitude",
            "rjb_km",
            "vs30_m_s",
            *(("rake_deg",) if self.mechanism == "rake" else ()),
            *(("z1pt0_m",) if self.basin != "none" else ()),
        )

    def predict(self, table: pd.DataFrame, measure: str) -> Prediction:
        """Return the distribution of a measure at every row of a table of ground motions.

        Raises
        ------
        InputError
            When a needed column is absent or has missing values, or the model does not know the measure.
        """
        values = needed(table, self.needs, self.name)
        pga_rock_g = np.exp(self._source_and_path(values, _TABLE["pga"]))
        return _TABLE.interpolated(measure, lambda row: self._of_row(row, values, pga_rock_g))

    def _of_row(self, row: str, values: dict[str, Any], pga_rock_g: Floats) -> Prediction:
        c, period = _TABLE[row], period_of(row)
        mean = self._source_and_path(values, c) + _site(values["vs30_m_s"], pga_rock_g, c)
        if self.basin != "none" and period is not None and period >= 0.65:
            expected_m = z1pt0_m_of(values["vs30_m_s"], self.basin)
            mean += np.minimum(c["f6"] * (values["z1pt0_m"] - expected_m) / 1000.0, c["f7"])
        if row != "pgv":
            mean += np.log(GRAVITY_CM_S2)
        return Prediction(mean, _ramp(values["magnitude"], c["tau1"], c["tau2"]), _phi(values, c))

    def _source_and_path(self, values: dict[str, Any], c: dict[str, float]) -> Floats:
        magnitude = values["magnitude"]
        above = magnitude - c["mh"]
        source = np.where(above <= 0, (c["e4"] + c["e5"] * above) * above, c["e6"] * above)
        distance = np.hypot(values["rjb_km"], c["h"])
        attenuation = c["c3"] + (c[f"dc3_{self.region}"] if self.region != "california" else 0.0)
        path = (c["c1"] + c["c2"] * (magnitude - 4.5)) * np.log(distance) + attenuation * (distance - 1.0)
        return np.asarray(self._mechanism(values, c) + source + path)

    def _mechanism(self, values: dict[str, Any], c: dict[str, float]) -> Any:
        if self.mechanism == "unspecified":
            return c["e0"]
        rake = values["rake_deg"]
        strike_slip = (np.abs(rake) <= 30) | (np.abs(rake) >= 150)
        return np.select([strike_slip, rake > 0], [c["e1"], c["e3"]], c["e2"])


def _site(vs30: Floats, pga_rock_g: Floats, c: dict[str, float]) -> Floats:
    """Linear and nonlinear amplification, equations 6 to 8."""
    linear = c["c"] * np.log(np.minimum(vs30, c["vc"]) / _REFERENCE_VS30)
    strength = c["f4"] * (
        np.exp(c["f5"] * (np.minimum(vs30, _REFERENCE_VS30) - 360.0))
        - np.exp(c["f5"] * (_REFERENCE_VS30 - 360.0))
    )
    return np.asarray(linear + strength * np.log((pga_rock_g + 0.1) / 0.1))


def _phi(values: dict[str, Any], c: dict[str, float]) -> Floats:
    """Within-event standard deviation by magnitude, distance and site, equations 15 to 17."""
    far = np.clip(values["rjb_km"], c["r1"], c["r2"])
    soft = np.clip(values["vs30_m_s"], 225.0, 300.0)
    return np.asarray(
        _ramp(values["magnitude"], c["phi1"], c["phi2"])
        + c["dfr"] * np.log(far / c["r1"]) / np.log(c["r2"] / c["r1"])
        - c["dfv"] * np.log(300.0 / soft) / np.log(300.0 / 225.0)
    )


def _ramp(magnitude: Floats, small: float, large: float) -> Floats:
    """One value to magnitude 4.5, another from 5.5, linear between."""
    return np.asarray(small + (large - small) * np.clip(magnitude - 4.5, 0.0, 1.0))
