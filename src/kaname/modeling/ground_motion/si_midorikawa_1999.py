"""Si and Midorikawa (1999): PGA and PGV in Japan, the law of its scenario and hazard maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kaname.core.errors import InputError
from kaname.core.geo import LocalFrame
from kaname.earth.sites import pgv_amplification
from kaname.modeling.ground_motion.coefficients import Coefficients
from kaname.modeling.ground_motion.contract import Floats, Prediction, model, needed
from kaname.modeling.ground_motion.zhao_2006 import REGIONS, region_rows

if TYPE_CHECKING:
    import pandas as pd

_TABLE = Coefficients("si_midorikawa_1999")
_CORRECTION = Coefficients("si_midorikawa_1999_correction")
_AMPLIFICATIONS = ("fujimoto_midorikawa_2006", "matsuoka_midorikawa_1994", "none")
_CORRECTIONS = ("none", "north_east", "south_west")
# Latitude and longitude along the trench and along the volcanic front: NIED (2009), tables 3.5.2-1 and -2.
_TRENCH = np.array(
    [(24.0, 143.5), (29.0, 143.0), (33.8, 141.9), (35.8, 142.4), (36.55, 143.25), (37.7, 143.8),
     (39.2, 144.2), (40.1, 144.3), (41.0, 144.65), (42.0, 146.8), (45.5, 153.0)]
)  # fmt: skip
_VOLCANIC_FRONT = np.array(
    [(24.5, 122.0), (24.5, 124.0), (27.9, 128.3), (29.5, 129.7), (31.5, 130.8), (33.4, 131.6), (34.9, 132.0),
     (35.3, 133.7), (35.3, 134.9), (36.2, 136.9)]
)  # fmt: skip


@model("si_midorikawa_1999")
class SiMidorikawa1999:
    """Attenuation by fault type and ground of Si and Midorikawa (1999), DOI 10.3130/aijs.64.63_2.

    Larger of two horizontal components; distance is the shortest to the fault, the depth is that of the
    middle of the fault (the hypocentre stands for it). PGV is predicted on hard ground (Vs30 600 m/s) and
    carried to the site by `amplification`; PGA is that of the surface as it was observed, whatever the Vs30.
    The standard deviation is NIED's (2009): it narrows with distance for earthquakes in the crust and with
    PGV for those of the subduction zone. It is published as a total, which is returned as ``phi``, unless
    `tau` says which part of it is between events.

    Parameters
    ----------
    tectonic_region
        Where all earthquakes were; by default the column of that name says it row by row.
    amplification
        PGV from hard ground to the site: Fujimoto and Midorikawa (2006), Matsuoka and Midorikawa (1994) as in
        older maps, or ``none`` to stay on hard ground.
    correction
        Anomalous intensity of subduction earthquakes deeper than 30 km, NIED (2009) section 3.5.2:
        ``north_east`` by distance to the trench, ``south_west`` by distance to the volcanic front; it needs
        the coordinates of the stations.
    largest_magnitude
        Beyond it shaking grows no more: 8.3 on the national maps; None for no limit.
    tau
        Standard deviation between events, natural logarithm.
    """

    name = "si_midorikawa_1999"
    component = "larger"
    measures = ("pga", "pgv")

    def __init__(
        self,
        *,
        tectonic_region: Literal["active_shallow", "subduction_interface", "subduction_slab"] | None = None,
        amplification: Literal[
            "fujimoto_midorikawa_2006", "matsuoka_midorikawa_1994", "none"
        ] = "fujimoto_midorikawa_2006",
        correction: Literal["none", "north_east", "south_west"] = "none",
        largest_magnitude: float | None = 8.3,
        tau: float = 0.0,
    ) -> None:
        for option, value, choices in (
            ("tectonic_region", tectonic_region, (None, *REGIONS)),
            ("amplification", amplification, _AMPLIFICATIONS),
            ("correction", correction, _CORRECTIONS),
        ):
            if value not in choices:
                raise InputError(f"{option} {value!r}; expected one of {', '.join(map(str, choices))}")
        smallest = 0.15 * np.log(10)
        if not 0 <= tau < smallest:
            raise InputError(f"tau {tau!r}; expected 0 to below {smallest:.3f}, the smallest total")
        self.tectonic_region = tectonic_region
        self.amplification = amplification
        self.correction = correction
        self.largest_magnitude = largest_magnitude
        self.tau = tau

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns that must not be missing."""
        return (
            *(("tectonic_region",) if self.tectonic_region is None else ()),
            *("magnitude", "event_depth_km", "rrup_km"),
            *(("vs30_m_s",) if self.amplification != "none" else ()),
            *(("latitude", "longitude") if self.correction != "none" else ()),
            *(("rhypo_km",) if self.correction == "north_east" else ()),
        )

    def predict(self, table: pd.DataFrame, measure: str) -> Prediction:
        """Return the distribution of a measure at every row of a table of ground motions.

        Raises
        ------
        InputError
            When a needed column is absent or has missing values, the model does not know the measure, or an
            earthquake was in a region it is not made for.
        """
        values = needed(table, self.needs, self.name)
        regions = region_rows(table, values, self.tectonic_region, self.name)
        return _TABLE.interpolated(measure, lambda row: self._of_row(row, values, regions))

    def _of_row(self, measure: str, values: dict[str, Any], regions: dict[str, Any]) -> Prediction:
        c = _TABLE[measure]
        magnitude, distance = values["magnitude"], values["rrup_km"]
        if self.largest_magnitude is not None:
            magnitude = np.minimum(magnitude, self.largest_magnitude)
        log10 = (
            c["magnitude"] * magnitude
            + c["depth"] * values["event_depth_km"]
            + c["constant"]
            - np.log10(distance + c["near"] * 10 ** (0.5 * magnitude))
            - c["attenuation"] * distance
        )
        subduction = np.ones(len(distance), bool)
        for region, rows in regions.items():
            log10[rows] += c[region]
            if region == "active_shallow":
                subduction &= ~rows
        # The law of NIED is for PGV; PGA takes the value of weak shaking.
        strength = np.clip(10**log10, 25.0, 50.0) if measure == "pgv" else 25.0
        near = np.log10(np.clip(distance, 20.0, 30.0) / 20.0) / np.log10(30.0 / 20.0)
        sigma = np.where(subduction, 0.20 - 0.05 * (strength - 25.0) / 25.0, 0.23 - 0.03 * near) * np.log(10)
        mean = log10 * np.log(10)
        if self.correction != "none":
            mean += np.where(subduction, self._correction(values, _CORRECTION[measure]), 0.0) * np.log(10)
        if measure == "pgv" and self.amplification != "none":
            mean += np.log(pgv_amplification(values["vs30_m_s"], self.amplification))
        return Prediction(mean, np.full(len(distance), self.tau), np.sqrt(sigma**2 - self.tau**2))

    def _correction(self, values: dict[str, Any], c: dict[str, float]) -> Floats:
        """Common logarithm of the factor of anomalous intensity, equations 3.5.2-1 and 3.5.2-2."""
        deeper = np.maximum(values["event_depth_km"] - 30.0, 0.0)
        line = _TRENCH if self.correction == "north_east" else _VOLCANIC_FRONT
        distance = _distance_to_line(values["latitude"], values["longitude"], line)
        if self.correction == "south_west":
            factor = np.where(distance <= 75.0, c["front_slope"] * distance, c["front_limit"])
            return np.asarray(factor * deeper)
        with np.errstate(divide="ignore"):
            far = c["far_level"] + c["far_slope"] * np.log10(values["rhypo_km"] / 300.0)
        trench = c["trench_slope"] * np.abs(distance) + c["trench_level"]
        return np.asarray(np.maximum(0.0, far) + trench * deeper)


def _distance_to_line(latitude: Floats, longitude: Floats, line: Floats) -> Floats:
    """Distance [km] of places to a line, positive to the right of its course."""
    frame = LocalFrame(*line.mean(axis=0))
    corners = np.stack(frame.to_local(*line.T), axis=1)
    places = np.stack(frame.to_local(latitude, longitude), axis=1)[:, None]
    start, along = corners[:-1], np.diff(corners, axis=0)
    share = np.clip(((places - start) * along).sum(2) / (along**2).sum(1), 0.0, 1.0)
    offset = places - (start + share[..., None] * along)
    nearest = np.hypot(offset[..., 0], offset[..., 1]).argmin(1)
    rows = np.arange(len(places))
    offset, along = offset[rows, nearest], along[nearest]
    side = np.sign(along[:, 1] * offset[:, 0] - along[:, 0] * offset[:, 1])
    return np.asarray(side * np.hypot(offset[:, 0], offset[:, 1]))
