"""From which magnitude a catalogue is complete, over all and after large earthquakes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.discovery.seismicity.gutenberg_richter import b_value


@dataclass(frozen=True)
class Completeness:
    """The magnitude of completeness by one method; NaN where the method finds none, ``reason`` says why."""

    magnitude: float
    method: str
    reason: str = ""


def frequencies(
    magnitude: ArrayLike, *, magnitude_bin: float = 0.1
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the centres of magnitude bins and how many earthquakes each holds.

    Raises
    ------
    InputError
        When there is no finite magnitude or the width is not positive.
    """
    m = np.asarray(magnitude, float).ravel()
    m = m[np.isfinite(m)]
    if not len(m) or not magnitude_bin > 0:
        raise InputError(f"found {len(m)} magnitudes and bins of {magnitude_bin}; both must be positive")
    # Half a bin belongs to the bin above.
    index = np.floor(m / magnitude_bin + 0.5 + 1e-6).astype(int)
    count = np.bincount(index - index.min())
    return np.round((np.arange(len(count)) + index.min()) * magnitude_bin, 6), count


def maximum_curvature(
    magnitude: ArrayLike, *, magnitude_bin: float = 0.1, correction: float = 0.2
) -> Completeness:
    """Return the fullest bin plus a correction (Wiemer & Wyss 2000; Woessner & Wiemer 2005).

    doi:10.1785/0119990114, doi:10.1785/0120040007. Of equally full bins the highest counts.
    """
    centre, count = frequencies(magnitude, magnitude_bin=magnitude_bin)
    fullest = len(count) - 1 - int(np.argmax(count[::-1]))
    return Completeness(float(round(centre[fullest] + correction, 6)), "maximum curvature")


def goodness_of_fit(
    magnitude: ArrayLike, *, magnitude_bin: float = 0.1, level: float = 0.9, n_min: int = 50
) -> Completeness:
    """Return the least magnitude from which a Gutenberg-Richter law fits (Wiemer & Wyss 2000, eq. 1).

    The law explains ``level`` of the cumulative counts, and at least ``n_min`` earthquakes remain.
    """
    best = -np.inf
    for cut, n, slope in _cuts(magnitude, magnitude_bin, n_min):
        centre, count = frequencies(_from(magnitude, cut, magnitude_bin), magnitude_bin=magnitude_bin)
        observed = count[::-1].cumsum()[::-1]
        law = n * 10 ** (-slope * (centre - cut))
        fit = 1 - np.abs(observed - law).sum() / observed.sum()
        best = max(best, fit)
        if fit >= level:
            return Completeness(cut, f"goodness of fit {level:.0%}")
    reason = f"the best fit is {best:.0%}" if np.isfinite(best) else f"fewer than {n_min} earthquakes"
    return Completeness(np.nan, f"goodness of fit {level:.0%}", reason)


def b_stability(
    magnitude: ArrayLike, *, magnitude_bin: float = 0.1, span: float = 0.5, n_min: int = 50
) -> Completeness:
    """Return the least magnitude above which b stays the same (Cao & Gao 2002; Woessner & Wiemer 2005).

    The mean of b over the next ``span`` of magnitudes differs from b by no more than its error.
    """
    found = []
    for cut, _, _ in _cuts(magnitude, magnitude_bin, n_min):
        slope = b_value(_from(magnitude, cut, magnitude_bin), cut, magnitude_bin=magnitude_bin)
        found.append((cut, slope.b, slope.error))
    n = round(span / magnitude_bin)
    for k in range(len(found) - n + 1):
        mean = np.mean([b for _, b, _ in found[k : k + n]])
        if abs(mean - found[k][1]) <= found[k][2]:
            return Completeness(found[k][0], "b-value stability")
    return Completeness(np.nan, "b-value stability", f"b is nowhere stable with {n_min} earthquakes above")


def estimate(magnitude: ArrayLike, *, magnitude_bin: float = 0.1) -> list[Completeness]:
    """Return the completeness by all three methods."""
    return [
        maximum_curvature(magnitude, magnitude_bin=magnitude_bin),
        goodness_of_fit(magnitude, magnitude_bin=magnitude_bin),
        b_stability(magnitude, magnitude_bin=magnitude_bin),
    ]


@dataclass(frozen=True)
class CompletenessLaw:
    """Completeness M - ``offset`` - ``slope`` log10(days) after an earthquake of magnitude M.

    The constants are those of southern California: Helmstetter, Kagan & Jackson (2006),
    doi:10.1785/0120050067, eq. 15. A sparser network has a smaller ``offset``.
    """

    offset: float = 4.5
    slope: float = 0.75

    def __post_init__(self) -> None:
        if not (np.isfinite(self.offset) and self.slope > 0):
            raise InputError(f"the slope must be positive, found {self.slope}, offset {self.offset}")

    def days(self, magnitude: ArrayLike, least: ArrayLike) -> NDArray[np.float64]:
        """Return after how many days earthquakes of ``least`` are seen again."""
        drop = np.asarray(magnitude, float) - self.offset - np.asarray(least, float)
        return np.asarray(10 ** (drop / self.slope))


@dataclass(frozen=True, eq=False)
class CompletenessSteps:
    """Completeness that changes from time to time.

    Parameters
    ----------
    time
        When it changes, UTC, in order ``(n,)``.
    magnitude
        Completeness from each time to the next ``(n,)``. An earthquake at the very time of a step belongs to
        what was before: it raises the completeness, and does not hide itself.

    Raises
    ------
    InputError
        When times are not in order, or there are not as many finite magnitudes.
    """

    time: NDArray[np.datetime64]
    magnitude: NDArray[np.float64]

    def __post_init__(self) -> None:
        time = np.asarray(self.time, "M8[ns]").ravel()
        magnitude = np.asarray(self.magnitude, float).ravel()
        if time.shape != magnitude.shape or not np.isfinite(magnitude).all() or np.isnat(time).any():
            raise InputError(f"found {len(time)} times and {np.isfinite(magnitude).sum()} finite magnitudes")
        if (np.diff(time) <= np.timedelta64(0)).any():
            raise InputError("the times of a completeness that changes must be in order, each once")
        object.__setattr__(self, "time", time)
        object.__setattr__(self, "magnitude", magnitude)

    @classmethod
    def read(cls, path: str | Path) -> CompletenessSteps:
        """Read a CSV file with columns ``time`` (UTC) and ``magnitude`` (from then on).

        Raises
        ------
        NotFoundError, FormatError
            When there is no such file, or it has no such columns.
        """
        if not Path(path).is_file():
            raise NotFoundError(f"no such file: {path}; expected CSV with columns time and magnitude")
        try:
            table = pd.read_csv(path)
            time = pd.to_datetime(table["time"], utc=True, format="ISO8601").dt.tz_localize(None)
            return cls(time.to_numpy("M8[ns]"), table["magnitude"].to_numpy(float))
        except (ValueError, KeyError, InputError) as error:
            raise FormatError(f"{path} is no table of completeness (time, magnitude): {error}") from error

    def at(self, time: ArrayLike, magnitude_min: float) -> NDArray[np.float64]:
        """Return the completeness at times ``(m,)``, nowhere less than ``magnitude_min``."""
        known = np.searchsorted(self.time, np.asarray(time, "M8[ns]"), side="left") - 1
        return np.asarray(np.maximum(np.append(self.magnitude, -np.inf)[known], magnitude_min))

    def worst(self, begin: np.datetime64, end: np.datetime64, magnitude_min: float) -> float:
        """Return the greatest completeness between two times, not less than ``magnitude_min``."""
        within = self.magnitude[(self.time > begin) & (self.time < end)]
        return float(max(self.at([begin], magnitude_min)[0], within.max(initial=magnitude_min)))


def after_large(
    events: pd.DataFrame,
    *,
    magnitude_min: float,
    large: float = 5.5,
    law: CompletenessLaw | None = None,
    step: float = 0.1,
) -> CompletenessSteps:
    """Return how completeness rises with each large earthquake and falls again, in steps never below the law.

    A large earthquake that itself was too small to be seen for sure, in the wake of another, raises nothing.

    Parameters
    ----------
    events
        EVENTS table.
    magnitude_min
        Completeness in quiet times.
    large
        Earthquakes of this magnitude or more hide others.
    law
        How long; missing: southern California's.
    step
        Of magnitude; the width of the bins, where magnitudes are rounded.
    """
    law = law or CompletenessLaw()
    if not step > 0:
        raise InputError(f"the step of magnitude must be positive, found {step}")
    chosen = events[events["magnitude"] >= max(large, magnitude_min)].sort_values("time", kind="stable")
    edges, values = np.empty(0, "M8[ns]"), np.empty(0)
    for moment, size in zip(chosen["time"].to_numpy("M8[ns]"), chosen["magnitude"].to_numpy(float)):
        if size < CompletenessSteps(edges, values).at(moment, magnitude_min) - 1e-9:
            continue
        # From each level down to the next; the last is quiet again.
        level = magnitude_min + step * np.arange(np.ceil((size - magnitude_min) / step - 1e-9), -1, -1)
        since = np.concatenate([[0.0], law.days(size, level[1:])])
        own = CompletenessSteps(*_last(moment + (since * 86400e9).astype("m8[ns]"), level))
        merged = np.union1d(edges[edges > moment], own.time)
        before = edges[edges <= moment]
        raised = np.maximum(
            own.magnitude[np.searchsorted(own.time, merged, side="right") - 1],
            np.append(values, -np.inf)[np.searchsorted(edges, merged, side="right") - 1],
        )
        edges, values = np.append(before, merged), np.append(values[: len(before)], raised)
        edges, values = _last(edges, values)
    return CompletenessSteps(edges, values.round(6))


def _last(
    time: NDArray[np.datetime64], value: NDArray[np.float64]
) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    """Return the last of the values at each time, where it is another than before."""
    keep = np.append(np.diff(time) > np.timedelta64(0), True) if len(time) else np.empty(0, bool)
    time, value = time[keep], value[keep]
    changed = np.append(True, np.diff(value) != 0)[: len(value)]
    return time[changed], value[changed]


def _from(magnitude: ArrayLike, cut: float, width: float) -> NDArray[np.float64]:
    m = np.asarray(magnitude, float).ravel()
    return np.asarray(m[m >= cut - width / 2 - 1e-9])


def _cuts(magnitude: ArrayLike, width: float, n_min: int):  # type: ignore[no-untyped-def]
    """Yield each bin from which on at least ``n_min`` earthquakes stand, their number and b."""
    centre, count = frequencies(magnitude, magnitude_bin=width)
    for cut, n in zip(centre, count[::-1].cumsum()[::-1]):
        rest = _from(magnitude, cut, width)
        if n >= n_min and len(np.unique(rest)) > 1:
            yield float(cut), int(n), b_value(rest, cut, magnitude_bin=width).b
