"""What every model of seismicity offers, and whom it is scored on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.core.forecasts import SIMULATIONS
from kaname.core.registry import Registry
from kaname.core.tables import empty, validate
from kaname.core.time import isoformat
from kaname.discovery.seismicity.completeness import CompletenessSteps
from kaname.discovery.seismicity.region import Region

DAY = np.timedelta64(1, "D")


@dataclass(frozen=True, eq=False)
class Target:
    """Whose earthquakes are explained: those in a region and a period, of a least magnitude.

    Earthquakes before ``start`` (from ``history`` on) and outside the region may trigger them; they are
    not scored.

    Parameters
    ----------
    region
        Polygon.
    start, end
        Period, UTC; the end is not part of it.
    magnitude_min
        Completeness: smaller earthquakes are left out, as targets and as sources.
    history
        Since when earthquakes are sources; missing: since the beginning of the catalogue.
    completeness
        Of times when it is worse than ``magnitude_min``: what is smaller then is left out, too.

    Raises
    ------
    InputError
        When the period is empty or begins before the history.
    """

    region: Region
    start: np.datetime64
    end: np.datetime64
    magnitude_min: float
    history: np.datetime64 | None = None
    completeness: CompletenessSteps | None = None

    def __post_init__(self) -> None:
        for name in ("start", "end", "history"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, np.datetime64(getattr(self, name), "ns"))
        if not self.start < self.end:
            raise InputError(f"a target period must end after it starts, found {self.period}")
        if self.history is not None and self.history > self.start:
            since = isoformat(self.history, decimals=0)
            raise InputError(f"history begins at {since}, after the target period, {self.period}")

    @property
    def period(self) -> str:
        """When it begins and ends, in words, to the second."""
        return f"{isoformat(self.start, decimals=0)} to {isoformat(self.end, decimals=0)}"

    @property
    def days(self) -> float:
        """Length of the period [day]."""
        return float((self.end - self.start) / DAY)

    def forbid_steps(self, name: str) -> None:
        """Raise an InputError where the completeness changes: the model of this name does not know that."""
        if self.completeness is not None:
            raise InputError(f"the model {name} knows no completeness that changes with time; etas does")

    def sources(self, catalogue: pd.DataFrame) -> pd.DataFrame:
        """Return the events that may trigger or be targets, in order of time, with ``day`` since ``start``.

        ``target`` says which are targets, ``completeness`` from which magnitude on events of that time are
        there. Events after the end, below the completeness or without a place are left out.

        Raises
        ------
        InputError
            When magnitudes or places are missing in what is within the period and the magnitudes.
        """
        table = catalogue.sort_values("time", kind="stable")
        time = table["time"].to_numpy("datetime64[ns]")
        least: NDArray[np.float64] | float = self.magnitude_min
        if self.completeness is not None:
            least = self.completeness.at(time, self.magnitude_min)
        table = table.assign(completeness=least)
        keep = (table["magnitude"].to_numpy(float) >= least - 1e-9) & (time < self.end)
        if self.history is not None:
            keep &= time >= self.history
        table = table[keep].reset_index(drop=True)
        lost = ~np.isfinite(table[["longitude", "latitude"]].to_numpy(float)).all(axis=1)
        if lost.any():
            raise InputError(
                f"{lost.sum()} of {len(table)} events have no place, the first is "
                f"{table.event_id[int(lost.argmax())]!r}; drop or locate them"
            )
        time = table["time"].to_numpy("datetime64[ns]")
        inside = self.region.contains(table["longitude"], table["latitude"])
        return table.assign(day=(time - self.start) / DAY, target=inside & (time >= self.start))


@dataclass(frozen=True)
class Score:
    """Log-likelihood of the target events, in nats per event: in all, of their times, of their places.

    ``n`` events were observed, ``expected`` foreseen over the period given the history of each moment.
    """

    joint: float
    temporal: float
    spatial: float
    n: int
    expected: float

    @classmethod
    def of(cls, rate: NDArray[np.float64], rate_time: NDArray[np.float64], expected: float) -> Score:
        """Return the score of targets with these rates [1/day/km2] and [1/day over the region]."""
        n = len(rate)
        temporal = float(np.log(rate_time).mean() - expected / n)
        spatial = float(np.log(rate / rate_time).mean())
        return cls(temporal + spatial, temporal, spatial, n, expected)


def rates_table(
    sources: pd.DataFrame,
    rate: NDArray[np.float64],
    rate_time: NDArray[np.float64],
    cumulative: NDArray[np.float64],
    total: float,
) -> pd.DataFrame:
    """Return what `SeismicityModel.log_rates` promises.

    Parameters
    ----------
    sources
        Of `Target.sources`.
    rate, rate_time
        At each target [1/day/km2], and over the region [1/day].
    cumulative, total
        Expected number from the start to each target, and in the whole period.
    """
    chosen = sources.loc[sources["target"], ["time", "longitude", "latitude", "magnitude"]]
    steps = np.diff(np.append(cumulative, total), prepend=0.0)
    # What is expected after the last target belongs to the last.
    steps[-2] += steps[-1]
    return chosen.reset_index(drop=True).assign(
        log_rate=np.log(rate), log_rate_time=np.log(rate_time), expected=steps[:-1]
    )


def drawing(n: int, seed: int) -> np.random.Generator:
    """Return what ``n`` simulations are drawn with.

    Raises
    ------
    InputError
        When ``n`` is not positive.
    """
    if n < 1:
        raise InputError(f"the number of simulations must be positive, found {n}")
    return np.random.default_rng(seed)


def simulations_table(
    target: Target,
    *,
    simulation: NDArray[np.int64],
    day: NDArray[np.float64],
    longitude: NDArray[np.float64],
    latitude: NDArray[np.float64],
    magnitude: NDArray[np.float64],
    generation: NDArray[np.int64] | int = 0,
) -> pd.DataFrame:
    """Return the simulated events ``(n,)`` that fall into the target's region and period, in order of time.

    Returns
    -------
    simulations
        A table of `kaname.core.forecasts.SIMULATIONS`, in order of simulation and time.
    """
    table = pd.DataFrame(
        {
            "simulation": simulation,
            "time": target.start + (np.asarray(day, float) * 86400e9).astype("timedelta64[ns]"),
            "longitude": longitude,
            "latitude": latitude,
            "magnitude": magnitude,
            "generation": generation,
        }
    )
    table = table[target.region.contains(longitude, latitude) & (table["time"] < target.end)]
    if table.empty:
        return empty(SIMULATIONS)
    return validate(table.sort_values(["simulation", "time"], kind="stable", ignore_index=True), SIMULATIONS)


@runtime_checkable
class SeismicityModel(Protocol):
    """A model: fitted to one period, scored on another, and able to foresee."""

    name: str

    def fit(self, catalogue: pd.DataFrame, target: Target) -> SeismicityModel:
        """Fit to the target events, given all sources; return itself."""
        ...

    def score(self, catalogue: pd.DataFrame, target: Target) -> Score:
        """Return the log-likelihood of target events that the fit did not see."""
        ...

    def log_rates(self, catalogue: pd.DataFrame, target: Target) -> pd.DataFrame:
        """Return for each target ``log_rate`` [1/day/km2], ``log_rate_time`` [1/day] and ``expected``.

        ``expected`` is the number expected since the target before (since the start for the first; what is
        left after the last belongs to it), so that ``log_rate - expected`` is the target's share of the
        log-likelihood: its mean is the joint score.
        """
        ...

    def simulate(self, history: pd.DataFrame, target: Target, *, n: int, seed: int) -> pd.DataFrame:
        """Return ``n`` futures of the target period given the history before it."""
        ...


_MODELS: Registry[Callable[..., Any]] = Registry(
    "seismicity model",
    "seismicity models",
    [
        f"kaname.discovery.seismicity.{module}"
        for module in ("etas.model", "hybrid", "neural", "poisson", "smoothed")
    ],
)


def seismicity_model(name: str) -> Callable[[Any], Any]:
    """Class decorator: make a model known under ``name``; a name taken twice raises."""
    return _MODELS.decorator(name)


def names() -> list[str]:
    """Return the names of the models."""
    return _MODELS.names()


def get_model(name: str, **options: Any) -> SeismicityModel:
    """Return a model by its name.

    Raises
    ------
    NotFoundError
        When there is none of that name.
    """
    model: SeismicityModel = _MODELS.find(name)(**options)
    return model
