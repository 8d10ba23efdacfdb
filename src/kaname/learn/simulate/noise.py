"""Noise that we make ourselves: microseism, people and machines, and faults of the instrument."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from kaname.core.errors import InputError
from kaname.learn.simulate.layered import log_uniform

Floats = NDArray[np.float64]

RATE_HZ = 100.0

# Power of ground acceleration [dB relative to 1 (m/s2)^2/Hz] at frequencies [Hz]: low and high noise model
# of Peterson (1993), doi:10.3133/ofr93322, roughly; a random spectrum needs no more.
_AT_HZ = np.array([0.005, 0.02, 0.05, 0.07, 0.1, 0.16, 0.22, 0.5, 1.0, 2.0, 5.0, 10.0, 50.0])
_LOW_DB = np.array([-184.0, -186, -187, -166, -163, -149, -141, -155, -166, -169, -169, -168, -168])
_HIGH_DB = np.array([-132.0, -135, -131, -124, -118, -101, -97, -107, -117, -112, -98, -91.5, -91.5])
LINES_HZ = (8.3, 12.5, 16.7, 20.0, 24.9, 25.0, 29.2, 33.3, 40.0, 50.0)
"""Machines and railways; 60 Hz mains appear at 40 Hz in 100 Hz samples that were not filtered well."""


def noise(n: int, n_sample: int, *, seed: int) -> NDArray[np.float32]:
    """Simulate records without any earthquake.

    Every record has a continuous spectrum drawn between (and a little beyond) Peterson's low and high noise
    models, and at random: spectral lines, slow changes of level, bursts as of cars, footsteps, blows, spikes,
    steps, dead components and coarse counts. Record ``k`` depends on the seed and ``k`` only.

    Parameters
    ----------
    n, n_sample
        Number of records, and samples in each at 100 Hz.
    seed
        Seed, 0 or more.

    Returns
    -------
    ndarray
        Counts of an instrument that measures velocity, float32 ``(n, 3, n_sample)``, components Z, N, E.

    Raises
    ------
    InputError
        When a number is negative or ``n_sample`` is 0.
    """
    if n < 0 or n_sample < 1 or seed < 0:
        raise InputError(
            f"n = {n}, n_sample = {n_sample}, seed = {seed}; expected n >= 0, n_sample >= 1, seed >= 0"
        )
    out = np.zeros((n, 3, n_sample), np.float32)
    for k in range(n):
        out[k] = _record(np.random.default_rng([seed, k, 1]), n_sample)
    return out


def _record(rng: np.random.Generator, n: int) -> Floats:
    data = _background(rng, n)
    data /= data.std(axis=-1).max() or 1.0
    if rng.random() < 0.3:
        data *= np.exp(_smooth(rng, n, log_uniform(rng, 2.0, 30.0)) * rng.uniform(0.2, 1.0))
    # What people and machines do is seen in the band above 1 Hz, so it is measured against that.
    level = np.diff(data, axis=-1).std() * 3.0 if n > 1 else 1.0
    if rng.random() < 0.3:
        data += level * _lines(rng, n)
    for add, chance in ((_bursts, 0.35), (_footsteps, 0.2), (_spikes, 0.25), (_steps, 0.08), (_pulses, 0.15)):
        if rng.random() < chance:
            data += level * add(rng, n)
    if rng.random() < 0.06:
        data[rng.integers(3)] = 0.0
    # Some instruments resolve their noise coarsely, down to one count.
    counts = log_uniform(rng, 1.0, 3e4)
    return np.rint(data * counts) if rng.random() < 0.7 else data * counts


def _background(rng: np.random.Generator, n: int) -> Floats:
    size = fft.next_fast_len(n + 200, real=True)
    f = fft.rfftfreq(size, 1 / RATE_HZ)
    # Microseism and culture vary on their own.
    share = np.interp(np.log(_AT_HZ), np.log([0.005, 0.3, 1.5, 10.0, 50.0]), rng.uniform(-0.1, 1.1, 5))
    db = _LOW_DB + share * (_HIGH_DB - _LOW_DB) + rng.normal(0, 3, len(_AT_HZ))
    per_component = db + rng.normal(0, 2, (3, len(_AT_HZ)))
    logs = np.log(np.maximum(f, f[1] if len(f) > 1 else 1.0))
    amplitude = np.stack([10 ** (np.interp(logs, np.log(_AT_HZ), row) / 20) for row in per_component])
    corner = rng.choice([0.02, 1.0, 4.5])  # broad-band, short-period, geophone
    velocity = 1.0 / (2 * np.pi * np.maximum(f, 1e-3))
    if rng.random() < 0.2:
        velocity = np.ones_like(f)  # an accelerometer
    response = velocity * f**2 / (f**2 + corner**2) / np.sqrt(1 + (f / 43.0) ** 16)
    white = rng.standard_normal((3, len(f))) + 1j * rng.standard_normal((3, len(f)))
    return np.asarray(fft.irfft(white * amplitude * response, size)[:, :n])


def _smooth(rng: np.random.Generator, n: int, scale_s: float) -> Floats:
    knots = np.arange(-1, n / RATE_HZ / scale_s + 2)
    return np.interp(np.arange(n) / RATE_HZ / scale_s, knots, rng.standard_normal(len(knots)))


def _weights(rng: np.random.Generator) -> Floats:
    return rng.uniform(0.2, 1.0, (3, 1))


def _lines(rng: np.random.Generator, n: int) -> Floats:
    t = np.arange(n) / RATE_HZ
    out = np.zeros((3, n))
    for _ in range(int(rng.integers(1, 4))):
        f = (
            rng.choice(LINES_HZ) * rng.uniform(0.99, 1.01)
            if rng.random() < 0.6
            else log_uniform(rng, 1.0, 48.0)
        )
        phase = 2 * np.pi * f * t + 0.5 * np.cumsum(_smooth(rng, n, 3.0)) / RATE_HZ
        swell = np.exp(0.5 * _smooth(rng, n, 5.0))
        if rng.random() < 0.4:
            # Switched on and off, as a pump is.
            on, off = np.sort(rng.uniform(-0.3, 1.3, 2)) * n
            swell *= (np.arange(n) >= on) & (np.arange(n) < off)
        out += (
            log_uniform(rng, 0.1, 5.0) * _weights(rng) * swell * np.sin(phase + rng.uniform(0, 6.28, (3, 1)))
        )
    return out


def _ringing(rng: np.random.Generator, f: float, cycles: float) -> Floats:
    # A blow to the ground: a decaying oscillation with its own phase on each component.
    t = np.arange(int(min(cycles * 6 / f, 4.0) * RATE_HZ) + 2) / RATE_HZ
    return np.exp(-t * f / cycles) * np.sin(2 * np.pi * f * t + rng.uniform(0, 6.28, (3, 1)))


def _put(out: Floats, piece: Floats, begin: int) -> None:
    end = min(begin + piece.shape[-1], out.shape[-1])
    if begin < end:
        out[:, begin:end] += piece[..., : end - begin]


def _bursts(rng: np.random.Generator, n: int) -> Floats:
    # A car or train comes and goes: noise in a band under a bell that rises and falls slowly.
    out = np.zeros((3, n))
    t = np.arange(n) / RATE_HZ
    for _ in range(int(rng.integers(1, 3))):
        width = log_uniform(rng, 0.5, 15.0)
        bell = np.exp(-0.5 * ((t - rng.uniform(0, n / RATE_HZ)) / width) ** 2)
        centre = log_uniform(rng, 2.0, 30.0)
        f = fft.rfftfreq(n, 1 / RATE_HZ)
        shape = np.exp(-0.5 * (np.log(np.maximum(f, 0.01) / centre) / rng.uniform(0.1, 0.6)) ** 2)
        rough = fft.irfft(fft.rfft(rng.standard_normal((3, n))) * shape, n)
        out += log_uniform(rng, 0.5, 15.0) * _weights(rng) * bell * rough / (rough.std() or 1.0)
    return out


def _footsteps(rng: np.random.Generator, n: int) -> Floats:
    out = np.zeros((3, n))
    pace, f, cycles = rng.uniform(0.35, 1.2), log_uniform(rng, 8.0, 35.0), rng.uniform(0.5, 3.0)
    begin, length = rng.uniform(0, n / RATE_HZ), log_uniform(rng, 2.0, 30.0)
    strength = log_uniform(rng, 1.0, 20.0) * _weights(rng)
    for time in np.arange(begin, begin + length, pace):
        near = np.exp(-0.5 * ((time - begin - 0.5 * length) / (0.3 * length)) ** 2)
        at = int((time + rng.normal(0, 0.03)) * RATE_HZ)
        if 0 <= at < n:
            _put(out, strength * near * rng.uniform(0.6, 1.4) * _ringing(rng, f, cycles), at)
    return out


def _spikes(rng: np.random.Generator, n: int) -> Floats:
    out = np.zeros((3, n))
    for _ in range(int(rng.integers(1, 8))):
        at, length = int(rng.integers(n)), int(rng.integers(1, 4))
        rows = rng.random((3, 1)) < 0.6
        _put(out, rows * log_uniform(rng, 3.0, 100.0) * rng.choice([-1.0, 1.0]) * np.ones((3, length)), at)
    return out


def _steps(rng: np.random.Generator, n: int) -> Floats:
    # A jump of the mass, which the instrument forgets with its own period.
    out = np.zeros((3, n))
    at = int(rng.integers(n))
    t = np.arange(n - at) / RATE_HZ
    height = log_uniform(rng, 3.0, 100.0) * rng.choice([-1.0, 1.0])
    _put(out, height * _weights(rng) * np.exp(-t / log_uniform(rng, 0.3, 60.0)), at)
    return out


def _pulses(rng: np.random.Generator, n: int) -> Floats:
    # Single blows (doors, ice, rocks falling), sharp but without a second phase.
    out = np.zeros((3, n))
    for _ in range(int(rng.integers(1, 4))):
        piece = _ringing(rng, log_uniform(rng, 1.5, 40.0), log_uniform(rng, 0.5, 8.0))
        _put(out, log_uniform(rng, 1.0, 40.0) * _weights(rng) * piece, int(rng.integers(n)))
    return out
