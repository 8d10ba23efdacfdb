"""Augmentation: from labelled records and noise to any number of different training windows.

A window is made of nothing, one or several earthquakes in noise. Each earthquake is a simulated or a real
record changed in what does not change the truth: time scale (a smaller or larger, nearer or farther event),
amplitude, polarity, azimuth of the horizontals. The window as a whole then suffers what happens to records:
wrong gains, other rates, clipping, spikes, steps, gaps, missing components.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.signal import butter, sosfilt

from kaname.learn.engine.condition import BLOCK, RATE_HZ, condition

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Sources:
    """Records of one event each, Z, N, E at 100 Hz.

    Parameters
    ----------
    data
        float32, shape ``(n, 3, n_sample)``; zero where a component is missing.
    p, s
        Onsets [samples]; NaN where nobody has read one, which is not to say that there is none.
    weight
        How often each is drawn.
    clean
        Whether there is nothing but the event in it (simulated).
    """

    data: Array
    p: NDArray[np.float64]
    s: NDArray[np.float64]
    weight: NDArray[np.float64]
    clean: bool

    def draw(self, rng: np.random.Generator) -> int:
        """Return the number of a record."""
        return int(rng.choice(len(self.data), p=self.weight / self.weight.sum()))


class Augmentation(BaseModel):
    """How windows are made; the shares are probabilities."""

    model_config = ConfigDict(extra="forbid")

    n_sample: int = Field(4096, multiple_of=256, description="samples of a window at 100 Hz")
    margin: int = Field(512, multiple_of=BLOCK, description="samples to either side that only levels see")
    noise_only: float = Field(0.2, ge=0, le=1, description="windows without any event")
    swarm: float = Field(0.3, ge=0, le=1, description="of the others, those with two to six events")
    simulated: float = Field(0.4, ge=0, le=1, description="of the events, those that are simulated")
    stretch: float = Field(0.35, ge=0, lt=1, description="largest logarithm of the factor on the time axis")
    own_noise: float = Field(0.5, ge=0, le=1, description="real records left with their own noise alone")
    snr_db: tuple[float, float] = Field((12.0, 50.0), description="peak of the event against noise [dB]")
    single: float = Field(0.25, ge=0, le=1, description="records of which the vertical alone is kept")
    missing: float = Field(0.08, ge=0, le=1, description="records with one or two other components missing")
    gain: float = Field(0.15, ge=0, le=1, description="records with wrong gains of components")
    band: float = Field(0.15, ge=0, le=1, description="records of a lower rate or a narrower band")
    clipped: float = Field(0.04, ge=0, le=1, description="records that are clipped")
    spikes: float = Field(0.06, ge=0, le=1, description="records with spikes")
    steps: float = Field(0.05, ge=0, le=1, description="records with steps")
    gaps: float = Field(0.15, ge=0, le=1, description="records with gaps")
    label_sigma_s: float = Field(0.05, gt=0, description="standard deviation of the label's bell [s]")


@dataclass(frozen=True)
class Window:
    """One training window.

    Parameters
    ----------
    x
        Conditioned, float32, shape ``(6, n)``.
    onsets
        ``(phase, sample)`` of every onset known, phase 0 for P and 1 for S; may lie outside.
    known
        float32 of 0 or 1, shape ``(n,)``: where the truth is known.
    """

    x: Array
    onsets: list[tuple[int, float]]
    known: Array

    def target(self, sigma_s: float) -> Array:
        """Return what the picker should say: P, S and noise, shape ``(3, n)``, summing to one."""
        n = self.x.shape[1]
        y = np.zeros((3, n), np.float32)
        _bells(y, np.array(self.onsets, np.float64).reshape(-1, 2), sigma_s * RATE_HZ)
        y[2] = 1 - y[0] - y[1]
        return y


class Mixer:
    """Makes windows.

    Parameters
    ----------
    real, simulated
        Records of events; either may be absent.
    noise
        Real stretches without events, shape ``(3, n_sample)`` each, missing components zero.
    artificial
        The same, made up; one noise in four is taken from here.
    """

    def __init__(
        self,
        settings: Augmentation,
        *,
        real: Sources | None,
        simulated: Sources | None,
        noise: list[Array],
        artificial: list[Array] | None = None,
    ) -> None:
        self.settings = settings
        self.real, self.simulated = real, simulated
        self.noise, self.artificial = noise, artificial or []
        self.n = settings.n_sample + 2 * settings.margin

    def window(self, rng: np.random.Generator) -> Window:
        """Return one window."""
        c = self.settings
        known = np.ones(self.n, np.float32)
        onsets: list[tuple[int, float]] = []
        n_event = 0
        if rng.random() >= c.noise_only:
            n_event = 1 if rng.random() > c.swarm else int(rng.integers(2, 7))
        data = self._first(rng, onsets, known) if n_event else self._noise(rng)
        missing = ~data.any(axis=1)
        for _ in range(n_event - 1):
            self._add(rng, data, onsets, known)
        data = self._sensor(rng, data)
        # Neither events pasted on top nor spikes and steps bring a missing component to life.
        data[missing] = 0
        mask = self._trouble(rng, data)
        x = condition(data, mask)[:, c.margin : -c.margin]
        inside = [(phase, at - c.margin) for phase, at in onsets]
        seen = np.asarray(mask.any(axis=0))[c.margin : -c.margin]
        return Window(np.ascontiguousarray(x), inside, known[c.margin : -c.margin] * seen)

    def _noise(self, rng: np.random.Generator) -> Array:
        out = self._stretch_of_noise(rng)
        if rng.random() < 0.3:
            other = self._stretch_of_noise(rng)
            level, own = _loudness(other), _loudness(out)
            if level > 0 and own > 0:
                out = out + other * np.float32(own / level * 10 ** rng.uniform(-1, 0.3))
        return out

    def _stretch_of_noise(self, rng: np.random.Generator) -> Array:
        pool = self.artificial if self.artificial and rng.random() < 0.25 else self.noise
        piece = pool[int(rng.integers(len(pool)))]
        out = np.empty((3, self.n), np.float32)
        factor = float(np.exp(rng.uniform(-0.3, 0.3)))
        need = int(self.n * factor) + 2
        if piece.shape[1] < need:
            piece = _lengthen(piece, need, rng)
        low = int(rng.integers(0, piece.shape[1] - need + 1))
        _resample(piece, float(low), factor, out)
        if rng.random() < 0.5:
            out = out[:, ::-1]
        if rng.random() < 0.5:
            out = -out
        if not out[1].any() or not out[2].any():
            # A single vertical: the horizontals are other stretches of it.
            for row in (1, 2):
                out = out.copy()
                _resample(
                    piece[:1], float(rng.integers(0, piece.shape[1] - need + 1)), factor, out[row : row + 1]
                )
        return np.ascontiguousarray(out)

    def _event(self, rng: np.random.Generator) -> tuple[Array, float, float, bool]:
        """Return a record on a new time scale: samples, onsets of P and S, and whether it is clean."""
        c = self.settings
        use = self.simulated is not None and (self.real is None or rng.random() < c.simulated)
        bank: Any = self.simulated if use else self.real
        i = bank.draw(rng)
        factor = float(np.exp(rng.uniform(-c.stretch, c.stretch))) if rng.random() < 0.7 else 1.0
        source = bank.data[i]
        out = np.zeros((3, int((source.shape[1] - 2) / factor)), np.float32)
        _resample(source, 0.0, factor, out)
        if rng.random() < 0.5:
            out = -out
        if out[1].any() and out[2].any() and rng.random() < 0.7:
            angle = rng.uniform(0, 2 * np.pi)
            cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
            out[1], out[2] = cos * out[1] - sin * out[2], sin * out[1] + cos * out[2]
        return out, bank.p[i] / factor, bank.s[i] / factor, bank.clean

    def _first(self, rng: np.random.Generator, onsets: list[tuple[int, float]], known: Array) -> Array:
        c = self.settings
        event, p, s, clean = self._event(rng)
        first = p if np.isfinite(p) else s - 300
        shift = int(rng.uniform(c.margin - 0.1 * self.n, self.n - c.margin) - first)
        if clean:
            data = self._noise(rng)
            _paste(data, event, shift, _gain(event, data, rng.uniform(*c.snr_db)))
        else:
            data = np.zeros((3, self.n), np.float32)
            _paste(data, event, shift, 1.0)
            # Where the record has ended, its own noise goes on.
            _continue(data, shift, shift + event.shape[1], rng)
            if rng.random() > c.own_noise:
                noise = self._noise(rng)
                noise[~data.any(axis=1)] = 0
                data += noise / np.float32(_gain(event, noise, rng.uniform(*c.snr_db)))
        _label(onsets, known, p + shift, s + shift)
        return data

    def _add(
        self, rng: np.random.Generator, data: Array, onsets: list[tuple[int, float]], known: Array
    ) -> None:
        """Paste one more event on top, cut a second before its P so that little of its noise comes along."""
        event, p, s, clean = self._event(rng)
        if not np.isfinite(p):
            return
        first = max(0, int(p) - 100)
        event = event[:, first:].copy()
        if not clean:
            event -= np.median(event[:, :100], axis=1, keepdims=True)
        _taper(event)
        shift = int(rng.uniform(0, self.n - self.settings.margin) - (p - first))
        low = max(0, shift)
        part = data[:, low : max(low + 200, shift + 400)]
        if not part.any():
            return
        _paste(data, event, shift, _gain(event, part, rng.uniform(*self.settings.snr_db)))
        _label(onsets, known, p - first + shift, s - first + shift)

    def _sensor(self, rng: np.random.Generator, data: Array) -> Array:
        c = self.settings
        data = np.ascontiguousarray(data - data.mean(axis=1, keepdims=True), np.float32)
        if rng.random() < c.gain:
            data *= (10 ** rng.uniform(-1, 1, (3, 1))).astype(np.float32)
        if rng.random() < c.band:
            kind = rng.random()
            if kind < 0.6:
                sos = butter(4, rng.uniform(8, 40), "lowpass", fs=RATE_HZ, output="sos")
            else:
                sos = butter(2, rng.uniform(1, 5), "highpass", fs=RATE_HZ, output="sos")
            data = sosfilt(sos, data, axis=1).astype(np.float32)
        peak = float(np.abs(data).max())
        if peak > 0 and rng.random() < c.clipped:
            data = np.clip(data, -peak * rng.uniform(0.1, 0.7), peak * rng.uniform(0.1, 0.7))
        if peak > 0 and rng.random() < c.spikes:
            for _ in range(int(rng.integers(1, 8))):
                row, at = rng.integers(3) if rng.random() < 0.5 else slice(None), rng.integers(self.n - 2)
                data[row, at : at + int(rng.integers(1, 3))] += peak * 10 ** rng.uniform(-1, 1.5)
        if peak > 0 and rng.random() < c.steps:
            data[:, int(rng.integers(self.n)) :] += (peak * rng.normal(0, 1, (3, 1))).astype(np.float32)
        return data

    def _trouble(self, rng: np.random.Generator, data: Array) -> NDArray[np.bool_]:
        """Return where samples are real; what is not is made worthless."""
        c = self.settings
        mask = np.repeat(data.any(axis=1, keepdims=True), self.n, axis=1)
        draw = rng.random()
        if draw < c.single:
            mask[1:] = False
        elif draw < c.single + c.missing:
            mask[rng.permutation(3)[: rng.integers(1, 3)]] = False
        if not mask.any():
            mask[0] = data[0].any()
        if rng.random() < c.gaps:
            for _ in range(int(rng.integers(1, 6))):
                length = int(10 ** rng.uniform(0.3, 3))
                at = int(rng.integers(-length, self.n))
                rows = slice(None) if rng.random() < 0.8 else int(rng.integers(3))
                mask[rows, max(0, at) : max(0, at + length)] = False
        return mask


def _label(onsets: list[tuple[int, float]], known: Array, p: float, s: float) -> None:
    """Note what is known of an event; about a phase that nobody has read, nothing is."""
    if np.isfinite(p):
        onsets.append((0, p))
    if np.isfinite(s):
        onsets.append((1, s))
    if not np.isfinite(s):
        known[max(0, int(p) + 40) : max(0, int(p) + 2500)] = 0
    elif not np.isfinite(p):
        known[max(0, int(s) - 2500) : max(0, int(s) - 30)] = 0


def _loudness(data: Array) -> float:
    present = data.any(axis=1)
    return float(np.sqrt((np.diff(data[present], axis=1) ** 2).mean())) if present.any() else 0.0


def _gain(event: Array, noise: Array, snr_db: float) -> float:
    """Factor that lifts the event's peak above the noise's root mean square, both of first differences."""
    level = _loudness(noise)
    peak = float(np.abs(np.diff(event, axis=1)).max()) if event.shape[1] > 1 else 0.0
    return level / peak * 10 ** (snr_db / 20) if peak > 0 and level > 0 else 1.0


def _paste(data: Array, event: Array, shift: int, gain: float) -> None:
    low, high = max(0, shift), min(data.shape[1], shift + event.shape[1])
    if low < high:
        data[:, low:high] += np.float32(gain) * event[:, low - shift : high - shift]


def _taper(event: Array) -> None:
    ramp = np.sin(np.linspace(0, np.pi / 2, 60, dtype=np.float32)) ** 2
    n = min(60, event.shape[1] // 2)
    if n:
        event[:, :n] *= ramp[:n]
        tail = min(500, event.shape[1] // 2)
        event[:, -tail:] *= np.cos(np.linspace(0, np.pi / 2, tail, dtype=np.float32)) ** 2


def _continue(data: Array, low: int, high: int, rng: np.random.Generator) -> None:
    """Mirror a record beyond its ends: at the start its noise, at the end its coda's last seconds."""
    n = data.shape[1]
    low, high = max(0, low), min(n, high)
    if high - low < 400:
        return
    reach = min(700, high - low)
    data[:, :low] = data[:, low + _to_and_fro(low, reach)[::-1]]
    data[:, high:] = data[:, high - 1 - _to_and_fro(n - high, reach)]


def _to_and_fro(n: int, reach: int) -> NDArray[np.intp]:
    """Return 0 ... reach - 1, reach - 1 ... 0, 0 ... of length n."""
    k = np.arange(n) % (2 * reach)
    return np.minimum(k, 2 * reach - 1 - k)


def _lengthen(piece: Array, need: int, rng: np.random.Generator) -> Array:
    """Repeat a stretch, every second time backwards, so that it goes on without a jump."""
    parts, total, backwards = [piece], piece.shape[1], True
    while total < need:
        parts.append(piece[:, ::-1] if backwards else piece)
        backwards = not backwards
        total += piece.shape[1]
    return np.concatenate(parts, axis=1)


@njit(cache=True)
def _resample(x: Array, start: float, step: float, out: Array) -> None:
    """Catmull-Rom interpolation of ``x`` at ``start + step * i``."""
    n = x.shape[1]
    for i in range(out.shape[1]):
        at = start + step * i
        k = int(at)
        f = np.float32(at - k)
        a, b, c, d = max(k - 1, 0), min(k, n - 1), min(k + 1, n - 1), min(k + 2, n - 1)
        for r in range(x.shape[0]):
            p0, p1, p2, p3 = x[r, a], x[r, b], x[r, c], x[r, d]
            out[r, i] = p1 + np.float32(0.5) * f * (
                p2 - p0 + f * (2 * p0 - 5 * p1 + 4 * p2 - p3 + f * (3 * (p1 - p2) + p3 - p0))
            )


@njit(cache=True)
def _bells(y: Array, onsets: NDArray[np.float64], sigma: float) -> None:
    reach = int(4 * sigma) + 1
    for j in range(onsets.shape[0]):
        row, at = int(onsets[j, 0]), onsets[j, 1]
        for i in range(max(0, int(at) - reach), min(y.shape[1], int(at) + reach + 2)):
            y[row, i] = max(y[row, i], np.float32(np.exp(-0.5 * ((i - at) / sigma) ** 2)))
    for i in range(y.shape[1]):
        total = y[0, i] + y[1, i]
        if total > 1:
            y[0, i] /= total
            y[1, i] /= total
