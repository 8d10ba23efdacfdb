"""Every model of OpenQuake's library, asked in its own interpreter: ``openquake:BooreEtAl2014``."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kaname.core.errors import InputError
from kaname.core.shaking import GRAVITY_CM_S2, MEASURES, period_of
from kaname.modeling.ground_motion.contract import Prediction, model, needed
from kaname.modeling.hazard.isolated import Worker, interpreter

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "mag": "magnitude",
    "rake": "rake_deg",
    "dip": "dip_deg",
    "strike": "strike_deg",
    "hypo_depth": "event_depth_km",
    "hypo_lat": "event_latitude",
    "hypo_lon": "event_longitude",
    "ztor": "ztor_km",
    "vs30": "vs30_m_s",
    "vs30measured": "vs30_measured",
    "z1pt0": "z1pt0_m",
    "z2pt5": "z2pt5_km",
    "lat": "latitude",
    "lon": "longitude",
    "repi": "repi_km",
    "rhypo": "rhypo_km",
    "rjb": "rjb_km",
    "rrup": "rrup_km",
    "rx": "rx_km",
    "ry0": "ry0_km",
    "azimuth": "azimuth_deg",
}
"""What OpenQuake calls the columns of the table of ground motions."""

TECTONIC_REGIONS = {
    "active_shallow": "Active Shallow Crust",
    "subduction_interface": "Subduction Interface",
    "subduction_slab": "Subduction IntraSlab",
    "stable": "Stable Continental Crust",
    "volcanic": "Volcanic",
}
"""What OpenQuake calls the tectonic regions of the table of ground motions."""

_NAMES = {"pga": "PGA", "pgv": "PGV", "pgd": "PGD", "arias": "IA", "cav": "CAV"}
_NAMES |= {"d5_75": "RSD575", "d5_95": "RSD595"}
# Natural logarithm of our unit over theirs: g, m/s of Arias intensity, g s.
_FACTORS = {"PGA": GRAVITY_CM_S2, "SA": GRAVITY_CM_S2, "IA": 100.0, "CAV": GRAVITY_CM_S2}

_WORKERS: dict[Path, Worker] = {}


@model("openquake")
class OpenQuakeModel:
    """A GSIM of OpenQuake by its name there, such as ``BooreEtAl2014``; DOI 10.1785/0220130087.

    Spectral accelerations between two periods are interpolated as OpenQuake does. A model that states only a
    total standard deviation gives it as ``phi``.

    Parameters
    ----------
    gsim
        Name of the class, or its TOML when it takes arguments: ``[BooreEtAl2014]\\nregion = "JPN"``.
    python
        OpenQuake's interpreter; see `kaname.modeling.hazard.isolated`.
    parameters
        Constants for what the model requires and the table has no column for, by OpenQuake's names, such as
        ``{"width": 10, "backarc": 0}``.
    """

    def __init__(
        self,
        gsim: str,
        *,
        python: str | Path | None = None,
        parameters: dict[str, float] | None = None,
    ) -> None:
        if not gsim:
            raise InputError("openquake needs the name of a model: openquake:BooreEtAl2014")
        self.gsim = gsim
        self.name = f"openquake:{gsim.split(']')[0].strip('[')}"
        self.parameters = dict(parameters or {})
        self._worker = _worker(interpreter(python))
        unknown = [name for name in self._requires if name not in COLUMNS and name not in self.parameters]
        if unknown:
            raise InputError(
                f"{self.name} requires {', '.join(unknown)}, for which the table of ground motions has no "
                f"column; give constants: parameters={{{', '.join(f'{name!r}: ...' for name in unknown)}}}"
            )

    @cached_property
    def _description(self) -> dict[str, Any]:
        names = {openquake_name(measure): measure for measure in MEASURES if openquake_name(measure)}
        answer, _ = self._worker.ask("describe", model=self.gsim, measures=list(names))
        answer["measures"] = [names[name] for name in answer["measures"]]
        return answer

    @property
    def _requires(self) -> list[str]:
        return list(self._description["requires"])

    @property
    def measures(self) -> tuple[str, ...]:
        """Those of Kaname's measures that the model answers."""
        return tuple(self._description["measures"])

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns that must not be missing."""
        return tuple(COLUMNS[name] for name in self._requires if name not in self.parameters)

    def predict(self, table: pd.DataFrame, measure: str) -> Prediction:
        """Return the distribution of a measure at every row of a table of ground motions.

        Raises
        ------
        InputError
            When a needed column is absent or has missing values, or the model does not know the measure.
        OpenQuakeError
            When OpenQuake refuses.
        """
        theirs = openquake_name(measure)
        if not theirs:
            raise InputError(f"OpenQuake has no {measure}")
        known = {period for m in self.measures if (period := period_of(m)) is not None}
        period = period_of(measure)
        inside = period is not None and known and min(known) <= period <= max(known)
        if measure not in self.measures and not inside:
            raise InputError(f"{self.name} has no {measure}; it knows {', '.join(self.measures)}")
        values = needed(table, self.needs, self.name)
        arrays = {
            name: values[COLUMNS[name]].astype(float)
            for name in self._requires
            if COLUMNS.get(name) in values
        }
        arrays |= {name: np.full(len(table), float(value)) for name, value in self.parameters.items()}
        _, found = self._worker.ask("predict", arrays, model=self.gsim, measure=theirs)
        mean = found["mean"] + log_unit(measure)
        split = (found["tau"] > 0) | (found["phi"] > 0)
        return Prediction(mean, found["tau"], np.where(split, found["phi"], found["sigma"]))


def _worker(python: Path) -> Worker:
    """Return the one process of an interpreter that all models share; a new one where it has ended."""
    if python not in _WORKERS or not _WORKERS[python].alive:
        _WORKERS[python] = Worker(python)
    return _WORKERS[python]


def openquake_name(measure: str) -> str:
    """Return what OpenQuake calls a measure, such as ``SA(0.3)``; empty when it has none such."""
    period = period_of(measure)
    return f"SA({period:g})" if period is not None else _NAMES.get(measure, "")


def log_unit(measure: str) -> float:
    """Return what is added to OpenQuake's logarithm of a measure for ours: it has g where we have cm/s2."""
    return float(np.log(_FACTORS.get(openquake_name(measure).split("(")[0], 1.0)))
