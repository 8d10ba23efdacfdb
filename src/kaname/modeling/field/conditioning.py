"""Shaking where nobody recorded it, given where somebody did: the conditioned normal field.

Engler, Worden, Thompson & Jaiswal (2022), https://doi.org/10.1785/0120210177, appendix B; Worden et al.
(2018), https://doi.org/10.1785/0120170201. The between-event residual is one number per measure that the
recordings have in common, scaled by ``tau`` at each place; the within-event residual is correlated in space
and between measures. Both follow from the recordings at once, and what is left uncertain of both is in the
covariance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.special import ndtr, ndtri

from kaname.core.errors import InputError
from kaname.core.shaking import unit_of
from kaname.modeling.field.correlation import Correlation, between_events, correlation, distances

Floats = NDArray[np.float64]
_ROWS = 512
"""Rows of a covariance built at once: the temporary arrays stay small."""


@dataclass(frozen=True)
class Places:
    """What a model expects of one measure at places, before any recording; arrays of shape (n,).

    Parameters
    ----------
    measure
        Name of the measure (`kaname.core.shaking`).
    latitude, longitude
        Of the places [degrees].
    mean
        Natural logarithm of the median, in the unit of the measure.
    tau, phi
        Standard deviations between events and within an event (natural logarithm).

    Raises
    ------
    InputError
        When shapes differ, a value is missing, or a deviation is negative.
    """

    measure: str
    latitude: Floats
    longitude: Floats
    mean: Floats
    tau: Floats
    phi: Floats

    def __post_init__(self) -> None:
        unit_of(self.measure)
        for name in ("latitude", "longitude", "mean", "tau", "phi"):
            object.__setattr__(
                self, name, _checked(name, getattr(self, name), len(np.atleast_1d(self.latitude)))
            )
        if (self.tau < 0).any() or (self.phi < 0).any():
            raise InputError("tau and phi are standard deviations; found a negative one")

    def __len__(self) -> int:
        return len(self.latitude)


@dataclass(frozen=True)
class Recorded:
    """One measure as it was recorded at places.

    Parameters
    ----------
    places
        Where, and what was expected there.
    value
        Natural logarithm of what was recorded, in the unit of the measure, shape (n,).
    uncertainty
        Standard deviation of the recorded value (natural logarithm), shape (n,) or one for all: not 0 for
        values converted from another measure or from felt intensity.
    """

    places: Places
    value: Floats
    uncertainty: ArrayLike = 0.0

    def __post_init__(self) -> None:
        n = len(self.places)
        object.__setattr__(self, "value", _checked("value", self.value, n))
        spread = np.broadcast_to(np.asarray(self.uncertainty, float), (n,)) if n else np.zeros(0)
        if not (np.isfinite(spread) & (spread >= 0)).all():
            raise InputError("uncertainties of recordings must be finite and not negative")
        object.__setattr__(self, "uncertainty", spread)


@dataclass(frozen=True)
class ConditionedField:
    """The distribution of one measure at places, given recordings: normal in the natural logarithm."""

    places: Places
    mean: Floats
    """Natural logarithm of the median, shape (n,)."""
    event_term: Floats
    """Between-event residual expected at each place, given the recordings, shape (n,); part of `mean`."""
    _known: Floats
    """What the recordings take from the within-event covariance, as a factor: shape (n_recorded, n)."""
    _event: Floats
    """Factor of the between-event covariance, shape (n, n_measure)."""
    _correlation: Correlation

    @classmethod
    def exactly(cls, measure: str, latitude: Floats, longitude: Floats, value: Floats) -> ConditionedField:
        """Return the field of values known for certain, such as recordings at their stations."""
        n = len(value)
        places = Places(measure, latitude, longitude, value, np.zeros(n), np.zeros(n))
        return condition([], places)

    @property
    def phi(self) -> Floats:
        """Standard deviation within the event, shape (n,)."""
        return np.asarray(np.sqrt(np.maximum(self.places.phi**2 - (self._known**2).sum(axis=0), 0.0)))

    @property
    def tau(self) -> Floats:
        """Standard deviation left of the between-event residual, shape (n,)."""
        return np.asarray(np.sqrt((self._event**2).sum(axis=1)))

    @property
    def sigma(self) -> Floats:
        """Total standard deviation, shape (n,)."""
        return np.hypot(self.phi, self.tau)

    @property
    def median(self) -> Floats:
        """Median in the unit of the measure, shape (n,)."""
        return np.exp(self.mean)

    def quantile(self, probability: float) -> Floats:
        """Return the quantile in the unit of the measure, shape (n,)."""
        if not 0 < probability < 1:
            raise InputError(f"a probability lies between 0 and 1, found {probability}")
        return np.asarray(np.exp(self.mean + ndtri(probability) * self.sigma))

    def exceedance(self, level: float) -> Floats:
        """Return the probability of exceeding a level in the unit of the measure, shape (n,)."""
        if not level > 0:
            raise InputError(f"a level of shaking is positive, found {level}")
        sigma = np.maximum(self.sigma, 1e-12)
        return np.asarray(ndtr((self.mean - np.log(level)) / sigma))

    def covariance(self, *, within: bool = True, between: bool = True) -> Floats:
        """Return the covariance of the natural logarithm at the places, shape (n, n), in column order.

        `within` and `between` say which of its two parts are summed.
        """
        p, n = self.places, len(self.places)
        out = np.zeros((n, n), order="F")
        for start in range(0, n, _ROWS):
            rows = slice(start, start + _ROWS)
            if within:
                block = distances(p.latitude[rows], p.longitude[rows], p.latitude, p.longitude)
                block = self._correlation(p.measure, p.measure, block)
                block *= p.phi[rows, None]
                block *= p.phi
                block -= self._known[:, rows].T @ self._known
                out[:, rows] += block.T
            if between:
                out[:, rows] += self._event @ self._event[rows].T
        return out

    def samples(self, n: int, *, seed: int) -> Floats:
        """Draw fields in the unit of the measure, shape (n, n_place), with their covariance.

        Raises
        ------
        InputError
            When no sample is asked for.
        """
        if n < 1:
            raise InputError(f"one sample or more, found {n}")
        matrix = self.covariance()
        # Places at stations have next to no variance left: rounding must not make it negative.
        matrix[np.diag_indices(len(matrix))] += 1e-10 * max(
            float(self.places.phi.max(initial=0.0)) ** 2, 1e-12
        )
        try:
            factor = cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
        except np.linalg.LinAlgError as error:
            raise InputError(
                "the covariance of these places is not positive: two of them coincide, or the correlation "
                "is not one of any field"
            ) from error
        draw = np.random.default_rng(seed).standard_normal((len(matrix), n))
        return np.asarray(np.exp(self.mean + (factor @ draw).T))


def condition(
    recorded: Sequence[Recorded],
    places: Places,
    *,
    spatial: str | Correlation = "jayaram_baker_2009_clustered",
) -> ConditionedField:
    """Return the field of a measure at places, given recordings of the same or of other measures.

    Parameters
    ----------
    recorded
        Recordings of one event, an entry per measure. Without any, the field is the model's.
    places
        Where it is wanted. A place at a station gets what was recorded there, as far as that is certain.
    spatial
        Correlation of within-event residuals: a name (`correlation.Spatial`) or a model of one's own.

    Raises
    ------
    InputError
        When recordings contradict each other (two at one place, both without uncertainty), a measure comes
        twice, or the correlation is unknown.
    """
    rho = correlation(spatial) if isinstance(spatial, str) else spatial  # type: ignore[arg-type]
    known = [r for r in recorded if len(r.places)]
    names = [r.places.measure for r in known]
    if len(set(names)) < len(names):
        raise InputError(f"a measure comes once, with all its recordings; found {', '.join(names)}")
    if not known:
        none = np.zeros((0, len(places)))
        return ConditionedField(places, places.mean, np.zeros(len(places)), none, places.tau[:, None], rho)
    measures = list(dict.fromkeys([places.measure, *names]))
    lat, lon, phi, tau, residual, spread = (
        np.concatenate(values)
        for values in zip(
            *(
                (
                    r.places.latitude,
                    r.places.longitude,
                    r.places.phi,
                    r.places.tau,
                    r.value - r.places.mean,
                    np.asarray(r.uncertainty),
                )
                for r in known
            )
        )
    )
    own = np.repeat(np.arange(len(known)), [len(r.places) for r in known])
    apart = distances(lat, lon, lat, lon)
    across = distances(lat, lon, places.latitude, places.longitude)
    for i, name in enumerate(names):
        for j, other in enumerate(names):
            part = np.ix_(own == i, own == j)
            apart[part] = rho(name, other, apart[part])
        across[own == i] = rho(name, places.measure, across[own == i])
    apart *= phi[:, None] * phi
    apart[np.diag_indices(len(apart))] += spread**2
    across *= phi[:, None] * places.phi
    factor = _factor(apart)
    column = np.array([measures.index(name) for name in names])[own]
    to_event = np.zeros((len(lat), len(measures)))
    to_event[np.arange(len(lat)), column] = tau
    # Appendix B of Engler et al., eqs. B8 and B9: the normalised between-event residual of each measure.
    weighted = cho_solve((factor, True), np.column_stack([residual, to_event]))
    precision = to_event.T @ weighted[:, 1:] + np.linalg.inv(between_events(measures))
    term_factor = cho_factor(precision, lower=True)
    term = cho_solve(term_factor, to_event.T @ weighted[:, 0])
    half = solve_triangular(factor, across, lower=True, check_finite=False)
    regress = solve_triangular(factor, np.column_stack([residual - to_event @ term, to_event]), lower=True)
    event_term = places.tau * term[0]
    mean = places.mean + event_term + half.T @ regress[:, 0]
    slope = -half.T @ regress[:, 1:]
    slope[:, 0] += places.tau
    # cov(H) = L^-T L^-1 of its precision.
    event = solve_triangular(term_factor[0], slope.T, lower=True).T
    return ConditionedField(places, mean, event_term, half, event, rho)


def _factor(matrix: Floats) -> Floats:
    try:
        factor = cholesky(matrix, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        factor = np.zeros((0, 0))
    if not len(factor) or np.diag(factor).min() ** 2 < 1e-10 * np.diag(matrix).max():
        raise InputError(
            "recordings at one place exclude each other: link duplicates first (one per place), or give "
            "their values an uncertainty"
        )
    return np.asarray(factor)


def _checked(name: str, values: ArrayLike, n: int) -> Floats:
    array = (
        np.broadcast_to(np.asarray(values, float), (n,))
        if np.ndim(values) == 0
        else np.asarray(values, float)
    )
    if array.shape != (n,):
        raise InputError(f"{name} has shape {array.shape}, expected ({n},)")
    if not np.isfinite(array).all():
        raise InputError(f"{name} is missing at {int((~np.isfinite(array)).sum())} of {n} places")
    return array
