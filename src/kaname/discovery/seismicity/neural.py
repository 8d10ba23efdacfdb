"""A neural point process without ETAS inside: the reference that loses or wins."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.core.geo import on_sphere
from kaname.discovery.seismicity.background import KernelDensity, Uniform
from kaname.discovery.seismicity.contract import (
    Score,
    Target,
    drawing,
    rates_table,
    seismicity_model,
    simulations_table,
)
from kaname.discovery.seismicity.etas.simulation import travel
from kaname.discovery.seismicity.gutenberg_richter import GutenbergRichter, slope

Floats = NDArray[np.float64]

SCALES = np.array([0.003, 0.03, 0.3, 3.0, 30.0, 300.0])
"""Time constants of the memory and of the decays it drives [day]."""
_FEATURES = 2 * len(SCALES) + 2


class Network:
    """A perceptron with one hidden layer of hyperbolic tangents, and its gradient."""

    def __init__(self, n_in: int, n_hidden: int, out: Floats, rng: np.random.Generator) -> None:
        self.weights = [
            rng.standard_normal((n_in, n_hidden)) / np.sqrt(n_in),
            np.zeros(n_hidden),
            0.1 * rng.standard_normal((n_hidden, len(out))) / np.sqrt(n_hidden),
            out.astype(float),
        ]

    def __call__(self, x: Floats) -> tuple[Floats, Floats]:
        """Return the output ``(n, n_out)`` and the hidden layer of inputs ``(n, n_in)``."""
        w1, b1, w2, b2 = self.weights
        hidden = np.tanh(x @ w1 + b1)
        return hidden @ w2 + b2, hidden

    def gradient(self, x: Floats, hidden: Floats, slope: Floats) -> list[Floats]:
        """Return the derivatives by the weights, given that by the output."""
        back = slope @ self.weights[2].T * (1 - hidden**2)
        return [x.T @ back, back.sum(axis=0), hidden.T @ slope, slope.sum(axis=0)]


class Adam:
    """Stochastic ascent with moments (Kingma & Ba 2015, arXiv:1412.6980), in place."""

    def __init__(self, weights: list[Floats], rate: float) -> None:
        self._weights, self._rate, self._step = weights, rate, 0
        self._mean = [np.zeros_like(w) for w in weights]
        self._square = [np.zeros_like(w) for w in weights]

    def climb(self, gradient: list[Floats], share: float) -> None:
        """Take a step; ``share`` of the run that is behind lowers the rate to nothing."""
        self._step += 1
        rate = self._rate * (1 - share)
        for w, g, m, v in zip(self._weights, gradient, self._mean, self._square):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            w += rate * (m / (1 - 0.9**self._step)) / (np.sqrt(v / (1 - 0.999**self._step)) + 1e-8)


@dataclass(frozen=True, eq=False)
class _Steps:
    """The stretches between sources: what is remembered, delays, whether a target ends it."""

    features: Floats
    begin: Floats
    end: Floats
    hit: NDArray[np.bool_]


@seismicity_model("neural")
class Neural:
    """A neural point process: network memories drive the rate, a learned mixture about past events the place.

    *Time.* Exponential memories of the numbers and sizes of past events go through a network to the
    coefficients of a constant and of six exponential decays, which are the rate until the next event (after
    Mei & Eisner 2017, arXiv:1612.09328, with decays that are fixed); its integral is exact.

    *Place.* A mixture of power laws about the last ``depth`` events, whose weights and widths a second
    network learns from elapsed time and magnitude, of a static density of the training events and of a
    uniform part (after Zhou et al. 2022, arXiv:2112.06351). It is a density on the plane: what falls outside
    the region is lost to the model, as in the published ones.

    Parameters
    ----------
    hidden
        Hidden units of each network.
    depth
        Number of events that places are drawn about.
    epochs, rate, seed
        Passes over the targets, first rate of learning, and what is drawn.
    neighbours, bandwidth_min_km
        Of the static density (`KernelDensity`).
    magnitude_bin, magnitude_max
        Width of the bins that magnitudes are rounded to (0: not rounded), and the greatest one simulated.

    Attributes
    ----------
    when_, where_, shape_, background_, b_, mean_, spread_
        The two networks, the logarithm of the exponent of the power law ``(1,)``, the static density, the
        slope of the magnitudes, and what inputs are standardised with.
    """

    name = "neural"

    def __init__(
        self,
        *,
        hidden: int = 32,
        depth: int = 100,
        epochs: int = 20,
        rate: float = 5e-3,
        seed: int = 0,
        neighbours: int = 5,
        bandwidth_min_km: float = 0.5,
        magnitude_bin: float = 0.0,
        magnitude_max: float = 9.5,
    ) -> None:
        if min(hidden, depth, epochs) < 1:
            raise InputError(f"hidden, depth and epochs must be positive, found {hidden}, {depth}, {epochs}")
        self.hidden = hidden
        self.depth = depth
        self.epochs = epochs
        self.rate = rate
        self.seed = seed
        self.neighbours = neighbours
        self.bandwidth_min_km = bandwidth_min_km
        self.magnitude_bin = magnitude_bin
        self.magnitude_max = magnitude_max

    def fit(self, catalogue: pd.DataFrame, target: Target) -> Neural:
        """See `SeismicityModel`.

        Raises
        ------
        InputError
            When there are fewer than 20 targets.
        """
        target.forbid_steps(self.name)
        sources = target.sources(catalogue)
        chosen = sources[sources["target"]]
        if len(chosen) < 20:
            raise InputError(
                f"{len(chosen)} events are too few for a network; widen the period or the region"
            )
        rng = np.random.default_rng(self.seed)
        above = chosen["magnitude"].to_numpy(float) - target.magnitude_min
        self.b_ = slope(float(above.mean()), self.magnitude_bin)
        self.reference_ = target.magnitude_min
        self.background_ = KernelDensity(
            target.region, chosen["longitude"], chosen["latitude"], np.ones(len(chosen)),
            neighbours=self.neighbours, bandwidth_min_km=self.bandwidth_min_km,
        )  # fmt: skip
        steps = self._steps(sources, target)
        self.mean_, self.spread_ = steps.features.mean(axis=0), steps.features.std(axis=0) + 1e-6
        even = len(chosen) / target.days / (1 + len(SCALES))
        self.when_ = Network(_FEATURES, self.hidden, np.full(1 + len(SCALES), np.log(np.expm1(even))), rng)
        self._learn_when(steps, rng)
        # Log zone [km2] and log weight of an event, and the log weights of the static and the uniform part.
        self.where_ = Network(3, self.hidden, np.zeros(2), rng)
        self.parts_ = np.array([np.log(self.depth / 5), np.log(self.depth / 50)])
        self.shape_ = np.zeros(1)
        self._learn_where(sources, self.background_.density_at_events(), target, rng)
        return self

    def score(self, catalogue: pd.DataFrame, target: Target) -> Score:
        """See `SeismicityModel`."""
        rate, rate_time, cumulative = self._rates(catalogue, target)
        return Score.of(rate, rate_time, cumulative[-1])

    def log_rates(self, catalogue: pd.DataFrame, target: Target) -> pd.DataFrame:
        """See `SeismicityModel`."""
        rate, rate_time, cumulative = self._rates(catalogue, target)
        return rates_table(target.sources(catalogue), rate, rate_time, cumulative[:-1], cumulative[-1])

    def _rates(self, catalogue: pd.DataFrame, target: Target) -> tuple[Floats, Floats, Floats]:
        sources = target.sources(catalogue)
        chosen = sources[sources["target"]]
        if chosen.empty:
            raise InputError(f"no earthquake in the region from {target.period}")
        steps = self._steps(sources, target)
        height = _softplus(self.when_((steps.features - self.mean_) / self.spread_)[0])
        rate_time = (height * _decays(steps.end))[steps.hit].sum(axis=1)
        number = (height * (_integrals(steps.end) - _integrals(steps.begin))).sum(axis=1)
        cumulative = np.append(np.cumsum(number)[steps.hit], number.sum())
        static = self.background_.density(chosen["longitude"], chosen["latitude"])
        density = np.empty(len(chosen))
        index = np.flatnonzero(sources["target"].to_numpy())
        for part in np.array_split(np.arange(len(index)), max(1, len(index) // 1000)):
            density[part] = self._mixture(*self._pairs(sources, index[part]), static[part], target)[0]
        return rate_time * density, rate_time, cumulative

    def _steps(self, sources: pd.DataFrame, target: Target) -> _Steps:
        day = sources["day"].to_numpy(float)
        state = _Memory(self.reference_)
        rows = [state.row()]
        for when, magnitude in zip(day, sources["magnitude"].to_numpy(float)):
            state.add(when, magnitude)
            rows.append(state.row())
        first = day[0] if len(day) else target.days
        # The stretch before the first source counts from the start of the period or from that source.
        begin = np.append(min(0.0, first), day)
        end = np.append(first, np.append(day[1:], target.days)[: len(day)])
        hit = np.append(sources["target"].to_numpy(), False)
        keep = (end > 0) | hit
        clipped = np.maximum(0.0, -begin)
        return _Steps(np.array(rows)[keep], clipped[keep], (end - begin)[keep], hit[keep])

    def _learn_when(self, steps: _Steps, rng: np.random.Generator) -> None:
        x = (steps.features - self.mean_) / self.spread_
        decay, number = _decays(steps.end), _integrals(steps.end) - _integrals(steps.begin)
        hit = steps.hit[:, np.newaxis]
        adam = Adam(self.when_.weights, self.rate)
        for share, part in _batches(len(x), self.epochs, 256, rng):
            raw, hidden = self.when_(x[part])
            height = _softplus(raw)
            rate = (height * decay[part]).sum(axis=1, keepdims=True)
            by_height = np.where(hit[part], decay[part] / rate, 0.0) - number[part]
            slope = by_height / (1 + np.exp(-raw)) / len(part)
            adam.climb(self.when_.gradient(x[part], hidden, slope), share)

    def _learn_where(
        self, sources: pd.DataFrame, static: Floats, target: Target, rng: np.random.Generator
    ) -> None:
        index = np.flatnonzero(sources["target"].to_numpy())
        adam = Adam([*self.where_.weights, self.parts_, self.shape_], self.rate)
        for share, part in _batches(len(index), self.epochs, 256, rng):
            x, squared, there = self._pairs(sources, index[part])
            _, inner = self._mixture(x, squared, there, static[part], target)
            n = len(part)
            slope = np.stack([inner["zone"], inner["weight"][:, :-2]], axis=-1).reshape(-1, 2) / n
            gradient = self.where_.gradient(x.reshape(-1, 3), inner["hidden"], slope)
            parts = inner["weight"][:, -2:].sum(axis=0) / n
            adam.climb([*gradient, parts, np.array([inner["shape"].sum() / n])], share)

    def _pairs(
        self, sources: pd.DataFrame, index: NDArray[np.int64]
    ) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Return inputs ``(n, depth, 3)`` of the last events, squared distances [km2], which there are."""
        day = sources["day"].to_numpy(float)
        place = on_sphere(sources["latitude"], sources["longitude"])
        above = sources["magnitude"].to_numpy(float) - self.reference_
        back = index[:, np.newaxis] - 1 - np.arange(self.depth)
        there = back >= 0
        back = np.maximum(back, 0)
        elapsed = np.log(day[index][:, np.newaxis] - day[back] + 1e-3)
        rank = np.broadcast_to(np.log1p(np.arange(self.depth)) - 3, back.shape)
        squared = ((place[:, index][:, :, np.newaxis] - place[:, back]) ** 2).sum(axis=0)
        return np.stack([elapsed / 3, above[back] - 0.5, rank], axis=-1), squared, there

    def _mixture(
        self, x: Floats, squared: Floats, there: NDArray[np.bool_], static: Floats, target: Target
    ) -> tuple[Floats, dict[str, Any]]:
        """Return the density at each target [1/km2], and the derivatives of its logarithm."""
        out, hidden = self.where_(x.reshape(-1, 3))
        log_zone, logit = (out[:, k].reshape(squared.shape) for k in range(2))
        rho = float(np.exp(self.shape_[0]))
        ratio = squared * np.exp(-log_zone)
        power = np.log1p(ratio)
        logit = np.where(there, logit, -np.inf)
        every = np.concatenate([logit, np.broadcast_to(self.parts_, (len(x), 2))], axis=1)
        every = every - every.max(axis=1, keepdims=True)
        weight = np.exp(every)
        weight /= weight.sum(axis=1, keepdims=True)
        near = rho / np.pi * np.exp(-log_zone - (1 + rho) * power)
        uniform = np.full((len(x), 1), 1 / target.region.area_km2)
        part = weight * np.concatenate([near, static[:, np.newaxis], uniform], axis=1)
        density = part.sum(axis=1)
        share = part / density[:, np.newaxis]
        event = share[:, :-2]
        return density, {
            "hidden": hidden,
            "weight": share - weight,
            "zone": event * ((1 + rho) * ratio / (1 + ratio) - 1),
            "shape": event * (1 - rho * power),
        }

    def simulate(self, history: pd.DataFrame, target: Target, *, n: int, seed: int) -> pd.DataFrame:
        """See `SeismicityModel`; one event after another, by thinning.

        Raises
        ------
        InputError
            When ``n`` is not positive.
        """
        rng = drawing(n, seed)
        sources = target.sources(history)
        sources = sources[sources["day"] < 0]
        law = GutenbergRichter(self.b_, target.magnitude_min, self.magnitude_max)
        known = sources[["day", "longitude", "latitude", "magnitude"]].to_numpy(float)
        state = _Memory(self.reference_)
        for day, _, _, magnitude in known:
            state.add(day, magnitude)
        made = [self._future(known[-self.depth :], copy(state), target, law, rng) for _ in range(n)]
        day, lon, lat, magnitude = np.concatenate(made).T
        return simulations_table(
            target, simulation=np.repeat(np.arange(n), [len(part) for part in made]), day=day, longitude=lon,
            latitude=lat, magnitude=magnitude,
        )  # fmt: skip

    def _future(
        self, known: Floats, state: _Memory, target: Target, law: GutenbergRichter, rng: np.random.Generator
    ) -> Floats:
        made, now = [], 0.0
        while True:
            height = _softplus(self.when_((state.row() - self.mean_) / self.spread_)[0])
            now = state.next(height, now, target.days, rng)
            if now >= target.days:
                break
            magnitude = float(law.draw(1, rng)[0])
            place = self._place(known, now, rng)
            state.add(now, magnitude)
            known = np.vstack([known, [now, *place, magnitude]])[-self.depth :]
            if target.region.contains(*place):
                made.append([now, *place, magnitude])
        return np.reshape(np.array(made), (-1, 4))

    def _place(self, known: Floats, now: float, rng: np.random.Generator) -> tuple[float, float]:
        back = known[::-1][: self.depth]
        x = np.column_stack(
            [
                np.log(now - back[:, 0] + 1e-3) / 3,
                back[:, 3] - self.reference_ - 0.5,
                np.log1p(np.arange(len(back))) - 3,
            ]
        )
        out, _ = self.where_(x)
        every = np.append(out[:, 1], self.parts_)
        weight = np.exp(every - every.max())
        k = int(rng.choice(len(weight), p=weight / weight.sum()))
        if k < len(back):
            reach = np.exp(out[k, 0]) * ((1 - rng.random(1)) ** (-np.exp(-self.shape_)) - 1)
            lon, lat = travel(back[k, 1], back[k, 2], np.sqrt(reach), rng.uniform(0, 2 * np.pi, 1))
        elif k == len(back):
            lon, lat = self.background_.draw(1, rng)
        else:
            lon, lat = Uniform(self.background_.region).draw(1, rng)
        return float(lon[0]), float(lat[0])


class _Memory:
    """What is remembered of past events: their numbers and sizes, forgotten at six rates."""

    def __init__(self, reference: float) -> None:
        self._reference = reference
        self._sums = np.zeros((2, len(SCALES)))
        self._last: float | None = None
        self._size, self._gap, self._change = 0.0, 1.0, 0.0

    def add(self, day: float, magnitude: float) -> None:
        """Remember an event."""
        gap = 0.0 if self._last is None else day - self._last
        self._size = magnitude - self._reference
        self._sums = self._sums * np.exp(-gap / SCALES) + np.array([[1.0], [np.exp(self._size)]])
        self._change = np.log(gap + 1e-4) - np.log(self._gap)
        self._last, self._gap = day, gap + 1e-4

    def row(self) -> Floats:
        """Return the inputs of the network after the last event."""
        if self._last is None:
            return np.zeros(_FEATURES)
        return np.array([*np.log1p(self._sums.ravel()), self._size, self._change])

    def next(self, height: Floats, now: float, end: float, rng: np.random.Generator) -> float:
        """Return the time of the next event by thinning, or ``end``; between events the rate only falls."""
        start = self._last if self._last is not None else 0.0
        while now < end:
            bound = float(height @ _decays(np.array([now - start]))[0])
            now += rng.exponential(1 / bound)
            if rng.random() * bound < float(height @ _decays(np.array([now - start]))[0]):
                break
        return min(now, end)


def _softplus(x: Floats) -> Floats:
    return np.asarray(np.logaddexp(0.0, x))


def _decays(elapsed: Floats) -> Floats:
    """Return the constant and the exponentials after a time ``(n,)`` [day], ``(n, 7)``."""
    return np.column_stack([np.ones(len(elapsed)), np.exp(-elapsed[:, np.newaxis] / SCALES)])


def _integrals(elapsed: Floats) -> Floats:
    """Return the integrals of `_decays` from 0."""
    return np.column_stack([elapsed, -SCALES * np.expm1(-elapsed[:, np.newaxis] / SCALES)])


def _batches(n: int, epochs: int, size: int, rng: np.random.Generator):  # type: ignore[no-untyped-def]
    number = max(1, n // size)
    for epoch in range(epochs):
        for k, part in enumerate(np.array_split(rng.permutation(n), number)):
            yield (epoch + k / number) / epochs, part
