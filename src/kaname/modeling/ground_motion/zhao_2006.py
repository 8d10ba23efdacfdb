"""Zhao et al. (2006): earthquakes in Japan, in the crust, on the plate interface and in the slab."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kaname.core.errors import InputError
from kaname.modeling.ground_motion.coefficients import Coefficients
from kaname.modeling.ground_motion.contract import Floats, Prediction, model, needed

if TYPE_CHECKING:
    import pandas as pd

REGIONS = ("active_shallow", "subduction_interface", "subduction_slab")
VERSIONS = ("2006", "nshmp_2008", "nshmp_2014", "cascadia")

_TABLES = {"paper": Coefficients("zhao_2006"), "program": Coefficients("zhao_2006_program")}


@model("zhao_2006")
class Zhao2006:
    """Attenuation of shaking in Japan by earthquake type and site class, DOI 10.1785/0120050122.

    Geometric mean of two horizontal components; PGA and SA 0.05 to 5 s. Equation 1 with the
    magnitude-squared term of equation 5 and the standard deviations of tables 5 and 6. The site enters by
    class: Vs30 up to 200, 300, 600, 1100 m/s and above.

    Parameters
    ----------
    tectonic_region
        Where all earthquakes were; by default the column of that name says it row by row.
    version
        ``2006`` is the paper. ``nshmp_2008`` fixes the depth of interface earthquakes at 20 km and takes
        their standard deviation between events before the magnitude correction (hazard maps of the USA,
        2008); ``nshmp_2014`` caps the magnitude of slab earthquakes at 7.8 (those of 2014); ``cascadia``
        multiplies subduction earthquakes by Atkinson's (2012) factors from sites in Japan to Cascadia.
    coefficients
        ``paper``: as printed. ``program``: with the digits that the author's program holds beyond them, up
        to 0.4 % of a median; ``scripts/unround_zhao_2006.py`` found them from its output.
    """

    name = "zhao_2006"
    component = "geometric_mean"

    def __init__(
        self,
        *,
        tectonic_region: Literal["active_shallow", "subduction_interface", "subduction_slab"] | None = None,
        version: Literal["2006", "nshmp_2008", "nshmp_2014", "cascadia"] = "2006",
        coefficients: Literal["paper", "program"] = "paper",
    ) -> None:
        if tectonic_region is not None and tectonic_region not in REGIONS:
            raise InputError(f"tectonic_region {tectonic_region!r}; expected one of {', '.join(REGIONS)}")
        if version not in VERSIONS:
            raise InputError(f"version {version!r}; expected one of {', '.join(VERSIONS)}")
        if coefficients not in _TABLES:
            raise InputError(f"coefficients {coefficients!r}; expected {' or '.join(_TABLES)}")
        self.tectonic_region = tectonic_region
        self.version = version
        self.coefficients = coefficients
        self._table = _TABLES[coefficients]

    @property
    def measures(self) -> tuple[str, ...]:
        """PGA and the periods of table 4."""
        return self._table.measures

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns that must not be missing; the rake only where the earthquake was in the crust."""
        columns = ("magnitude", "event_depth_km", "rrup_km", "vs30_m_s")
        if self.tectonic_region is None:
            return ("tectonic_region", *columns)
        return (*columns, "rake_deg") if self.tectonic_region == "active_shallow" else columns

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
        parts = {
            region: {name: array[rows] for name, array in values.items()} for region, rows in regions.items()
        }
        if "active_shallow" in parts:
            crust = table[regions["active_shallow"]]
            parts["active_shallow"]["rake_deg"] = needed(crust, ("rake_deg",), self.name)["rake_deg"]

        def predict(row: str) -> Prediction:
            c = self._table[row]
            mean, tau = np.empty(len(table)), np.empty(len(table))
            for region, rows in regions.items():
                mean[rows] = self._mean(parts[region], c, region)
                tau[rows] = self._tau(c, region)
            return Prediction(mean, tau, np.full(len(table), c["sigma"]))

        return self._table.interpolated(measure, predict)

    def _mean(self, values: dict[str, Any], c: dict[str, float], region: str) -> Floats:
        magnitude, distance, depth = values["magnitude"], values["rrup_km"], values["event_depth_km"]
        if region == "subduction_interface" and self.version == "nshmp_2008":
            depth = np.full_like(depth, 20.0)
        if region == "subduction_slab":
            if self.version == "nshmp_2014":
                magnitude = np.minimum(magnitude, 7.8)
            # The slab's path term is singular on the rupture.
            distance = np.where(distance == 0, 0.1, distance)
        mean = (
            c["a"] * magnitude
            + c["b"] * distance
            - np.log(distance + c["c"] * np.exp(c["d"] * magnitude))
            + c["e"] * np.maximum(np.minimum(depth, 125.0) - 15.0, 0.0)
            + _site(values["vs30_m_s"], c)
        )
        if region == "active_shallow":
            reverse = (values["rake_deg"] > 45) & (values["rake_deg"] < 135)
            return np.asarray(mean + c["fr"] * reverse + c["qc"] * (magnitude - 6.3) ** 2 + c["wc"])
        if region == "subduction_interface":
            mean += c["si"] + c["qi"] * (magnitude - 6.3) ** 2 + c["wi"]
        else:
            mean += c["ss"] + c["ssl"] * np.log(distance)
            mean += c["ps"] * (magnitude - 6.5) + c["qs"] * (magnitude - 6.5) ** 2 + c["ws"]
        return np.asarray(mean + np.log(c["cascadia"]) if self.version == "cascadia" else mean)

    def _tau(self, c: dict[str, float], region: str) -> float:
        if region == "active_shallow":
            return c["tau_c"]
        if region == "subduction_slab":
            return c["tau_s"]
        return c["tau_i_2008"] if self.version == "nshmp_2008" else c["tau_i"]


def region_rows(
    table: pd.DataFrame, values: dict[str, Any], fixed: str | None, name: str
) -> dict[str, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Return which rows are in which tectonic region, all in one where it is fixed.

    Raises
    ------
    InputError
        When a row names a region that a model of Japan's earthquakes does not cover.
    """
    if fixed is not None:
        return {fixed: np.ones(len(table), bool)}
    found = values["tectonic_region"]
    strange = ~np.isin(found.astype(str), REGIONS)
    if strange.any():
        raise InputError(
            f"{name} is made for {', '.join(REGIONS)}; found {found[strange][0]!r} in {strange.sum()} of "
            f"{len(table)} rows (index {table.index[strange][0]})"
        )
    return {region: found == region for region in REGIONS if (found == region).any()}


def _site(vs30: Floats, c: dict[str, float]) -> Floats:
    classes = np.array([c["c4"], c["c3"], c["c2"], c["c1"], c["ch"]])
    return classes[np.searchsorted([200.0, 300.0, 600.0, 1100.0], vs30)]
