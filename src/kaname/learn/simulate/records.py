"""Banks of simulated records: three components, onsets of P and S known exactly."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy import fft

from kaname.core.config import Settings
from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.earth.moment import moment_nm
from kaname.learn.simulate import coda, source
from kaname.learn.simulate.layered import Arrival, Crust, Wave, arrivals, log_uniform, random_crust
from kaname.learn.simulate.site import SENSORS, free_surface, record, transfer

Floats = NDArray[np.float64]
Range = tuple[float, float]

RATE_HZ = 100.0
N_SAMPLE = 9000
FINE = 4
"""Pulses are made at this multiple of the rate, so that an onset may lie between two samples."""
N_PULSE = 4096
N_FFT = 10240
BANK_VERSION = 1

# Relative amplitude of scattered waves, up, away and across.
P_LOCAL = [1.0, 0.6, 0.6]
FORERUNNER = [1.0, 0.8, 0.8]
MIXED = [0.65, 1.0, 1.0]
BROADENING_S = 4.0
"""S minus P at which local scattering lasts twice as long as beside the source [s]."""
CODA_WINDOWS_S = (0.0, 3.0, 8.0, 25.0, 80.0)


class SimulationConfig(Settings):
    """What earthquakes, ground and instruments are drawn; a range is even in the logarithm unless it says."""

    distance_km: Range = Field((2.0, 150.0), description="epicentral distance [km]")
    depth_km: Range = Field((1.0, 30.0), description="source depth [km]")
    magnitude: Range = Field((0.0, 5.0), description="limits of the magnitude")
    magnitude_spread: float = Field(
        2.5, gt=0, description="magnitudes above the least that is seen so far away"
    )
    s_minus_p_s: Range = Field((0.3, 18.0), description="limits of S minus P [s]")
    stress_drop_mpa: Range = Field((0.3, 20.0), description="stress drop [MPa]")
    vp_vs: Range = Field((1.62, 1.9), description="Vp/Vs of rock, even")
    quality_s: Range = Field((50.0, 400.0), description="quality factor of S in rock at 1 Hz")
    quality_power: Range = Field((0.2, 0.7), description="power of frequency with which it grows, even")
    kappa_s: Range = Field((0.012, 0.06), description="attenuation of S near the surface [s]")
    sediment_share: float = Field(0.6, ge=0, le=1, description="share of stations on sediment")
    sediment_km: Range = Field((0.05, 3.0), description="thickness of the sediment [km]")
    scattering_per_km: Range = Field((0.002, 0.05), description="scattering coefficient [1/km]")
    local_share: Range = Field(
        (0.3, 10.0), description="energy of drawn-out arrivals over that of the direct wave, nearby"
    )
    local_decay_s: Range = Field((0.08, 2.0), description="time in which it dies, nearby [s]")
    forerunner_share: Range = Field((0.005, 0.25), description="energy of S that comes before S, nearby")
    head_strength: Range = Field((0.05, 0.6), description="amplitude of head waves, even")
    p_at_s: Range = Field((20.0, 40.0), description="where P stands in the record, even [s]")

    @model_validator(mode="after")
    def _ranges(self) -> SimulationConfig:
        for name, value in self:
            if isinstance(value, tuple):
                low, high = value
                least = -np.inf if name == "magnitude" else 0.0
                if not (np.isfinite(value).all() and least <= low <= high) or high <= least:
                    raise InputError(
                        f"{name} = [{low:g}, {high:g}]; expected two finite numbers that do not fall"
                    )
                if name not in ("magnitude", "p_at_s") and low <= 0:
                    raise InputError(f"{name} = [{low:g}, {high:g}]; expected numbers above 0")
        room = N_SAMPLE / RATE_HZ
        if self.p_at_s[1] + self.s_minus_p_s[1] >= room - 5.0:
            raise InputError(f"P at up to {self.p_at_s[1]:g} s leaves no room for S in records of {room:g} s")
        return self


@dataclass(frozen=True, eq=False)
class Bank:
    """Simulated records of one earthquake each, without noise.

    Parameters
    ----------
    data
        Counts at 100 Hz, float32 ``(n, 3, n_sample)``, components Z, N, E; exactly zero before the P onset.
    p, s
        Onsets of the first P and the first S wave [samples, with fractions], float64 ``(n,)``.
    p_share, s_share
        Amplitude of the first P (S) wave over that of the strongest one of its kind, float32 ``(n,)``: small
        where a weak head wave comes first.
    distance_km, depth_km, azimuth_deg, magnitude, stress_drop_mpa, corner_hz, sediment_km
        Epicentral distance, source depth [km], direction from source to station [degrees], magnitude, stress
        drop [MPa], corner frequency of S [Hz] and thickness of soil and sediment [km], float32 ``(n,)``.
    sensor
        Index into `kaname.learn.simulate.site.SENSORS`, int8 ``(n,)``.
    """

    data: NDArray[np.float32]
    p: Floats
    s: Floats
    p_share: NDArray[np.float32]
    s_share: NDArray[np.float32]
    distance_km: NDArray[np.float32]
    depth_km: NDArray[np.float32]
    azimuth_deg: NDArray[np.float32]
    magnitude: NDArray[np.float32]
    stress_drop_mpa: NDArray[np.float32]
    corner_hz: NDArray[np.float32]
    sediment_km: NDArray[np.float32]
    sensor: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.p)

    def save(self, path: str | Path) -> None:
        """Write the bank as npz; samples as float16 with one scale per record (relative error up to 5e-4)."""
        peak = np.abs(self.data).max(axis=(1, 2))
        scale = np.where(peak > 0, peak / 3e4, 1.0).astype(np.float32)
        rest = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "data"}
        small = (self.data / scale[:, np.newaxis, np.newaxis]).astype(np.float16)
        with Path(path).open("wb") as file:
            np.savez(file, version=BANK_VERSION, scale=scale, data=small, **rest)

    @classmethod
    def load(cls, path: str | Path) -> Bank:
        """Read what `save` wrote.

        Raises
        ------
        NotFoundError
            When there is no such file.
        FormatError
            When it is not a bank, is damaged, or of another version.
        """
        if not Path(path).is_file():
            raise NotFoundError(f"no such bank of simulated records: {path}")
        try:
            with np.load(path, allow_pickle=False) as stored:
                values = {name: stored[name] for name in stored.files}
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise FormatError(f"{path} is damaged or no bank of simulated records: {error}") from error
        wanted = {f.name for f in fields(cls)} | {"version", "scale"}
        if set(values) != wanted or int(values["version"]) != BANK_VERSION:
            raise FormatError(f"{path} is no bank of version {BANK_VERSION}; simulate it again")
        data = values.pop("data").astype(np.float32)
        data *= values.pop("scale")[:, np.newaxis, np.newaxis]
        del values["version"]
        return cls(data=data, **values)


def simulate(n: int, *, seed: int, config: SimulationConfig | None = None) -> Bank:
    """Simulate records of local and regional earthquakes.

    Record ``k`` depends on the seed and ``k`` only, so a longer bank begins with the shorter one.

    Parameters
    ----------
    n
        Number of records.
    seed
        Seed, 0 or more.
    config
        What is drawn.

    Raises
    ------
    InputError
        When ``n`` or ``seed`` is negative, or no earthquake meets the limits of the configuration.
    """
    if n < 0 or seed < 0:
        raise InputError(f"n = {n}, seed = {seed}; expected 0 or more")
    settings = config or SimulationConfig()
    data = np.zeros((n, 3, N_SAMPLE), np.float32)
    rows: list[dict[str, Any]] = []
    for k in range(n):
        rng = np.random.default_rng([seed, k])
        scene = _draw(rng, settings)
        p, s = _synthesise(rng, settings, scene, data[k])
        rows.append({"p": p, "s": s, **scene.facts()})
    kinds = {"p": np.float64, "s": np.float64, "sensor": np.int8}
    names = [f.name for f in fields(Bank) if f.name != "data"]
    return Bank(data=data, **{k: np.array([r[k] for r in rows], kinds.get(k, np.float32)) for k in names})


@dataclass(frozen=True, eq=False)
class _Scene:
    """One earthquake, one station and the ground between."""

    crust: Crust
    arrivals: list[Arrival]
    distance: float
    depth: float
    azimuth: float
    mechanism: tuple[float, float, float]
    magnitude: float
    stress_drop: float
    sensor: str

    def first(self, wave: Wave) -> Arrival:
        """The first arrival of waves that are P, or S, all the way."""
        return min((a for a in self.arrivals if a.wave == a.ends == wave), key=lambda a: a.time)

    def share(self, wave: Wave) -> float:
        """Amplitude of the first arrival over the largest one, but for the radiation."""
        size = {id(a): abs(a.strength) / a.spread_km for a in self.arrivals if a.wave == a.ends == wave}
        return size[id(self.first(wave))] / max(size.values())

    @property
    def corner_hz(self) -> float:
        at = self.crust.layer(self.depth)
        return source.corner_hz(float(moment_nm(self.magnitude)), self.stress_drop, float(self.crust.vs[at]))

    def facts(self) -> dict[str, Any]:
        """What the bank says about the record."""
        return {
            "p_share": self.share("P"),
            "s_share": self.share("S"),
            "distance_km": self.distance,
            "depth_km": self.depth,
            "azimuth_deg": np.degrees(self.azimuth),
            "magnitude": self.magnitude,
            "stress_drop_mpa": self.stress_drop,
            "corner_hz": self.corner_hz,
            "sediment_km": self.crust.tops[self.crust.basement],
            "sensor": SENSORS.index(self.sensor),
        }


def _draw(rng: np.random.Generator, c: SimulationConfig) -> _Scene:
    for _ in range(200):
        crust = random_crust(
            rng,
            vp_vs=c.vp_vs,
            sediment_share=c.sediment_share,
            sediment_km=c.sediment_km,
            quality_s=c.quality_s,
        )
        distance, depth = log_uniform(rng, *c.distance_km), log_uniform(rng, *c.depth_km)
        if crust.layer(depth) < crust.basement:
            continue
        waves = arrivals(crust, depth, distance, rng, head=c.head_strength)
        lag = min(a.time for a in waves if a.wave == "S" and a.ends == "S") - min(a.time for a in waves)
        if not c.s_minus_p_s[0] <= lag <= c.s_minus_p_s[1]:
            continue
        # What is recorded is what stands out of the noise: farther away, larger.
        least = 1.8 * np.log10(np.hypot(distance, depth)) - 1.6
        low, high = max(least, c.magnitude[0]), min(least + c.magnitude_spread, c.magnitude[1])
        magnitude = rng.uniform(low, max(low, high)) if low <= c.magnitude[1] else c.magnitude[1]
        mechanism = (rng.uniform(0, 2 * np.pi), np.arccos(rng.random()), rng.uniform(-np.pi, np.pi))
        sensor = str(rng.choice(SENSORS, p=[0.3, 0.15, 0.35, 0.2]))
        return _Scene(
            crust,
            waves,
            distance,
            depth,
            rng.uniform(0, 2 * np.pi),
            mechanism,
            magnitude,
            log_uniform(rng, *c.stress_drop_mpa),
            sensor,
        )
    raise InputError("no earthquake met the limits; widen distance_km, depth_km or s_minus_p_s")


def _synthesise(
    rng: np.random.Generator, c: SimulationConfig, scene: _Scene, out: NDArray[np.float32]
) -> tuple[float, float]:
    """Write one record; return the onsets of P and S in samples."""
    first_p, first_s = scene.first("P"), scene.first("S")
    start = rng.uniform(*c.p_at_s) - first_p.time

    def fine(time: float) -> int:
        return round((start + time) * RATE_HZ * FINE)

    # With Q growing as a power of frequency, the exponent of attenuation grows as what is left of frequency.
    slower = 1.0 - rng.uniform(*c.quality_power)
    pulses = _pulses(rng, c, scene, {"P": first_p.t_star, "S": first_s.t_star}, slower)
    amplitude = _amplitude(scene)
    motion = np.zeros((3, N_SAMPLE))  # up, away, across
    rough = rng.uniform(0.05, 0.3)
    ruptures = _ruptures(rng, scene)
    for a in scene.arrivals:
        vector = _vector(rng, scene, a, rough) * amplitude[a.wave] * a.strength / a.spread_km
        for delay, weight in ruptures:
            _add(motion, pulses[a.wave], vector * weight, fine(a.time + delay))
    p, s = fine(first_p.time), fine(first_s.time)
    motion += _coda(rng, c, scene, pulses, amplitude, -(-p // FINE), -(-s // FINE), slower)
    angle = scene.azimuth
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    gain = log_uniform(rng, 1e8, 3e9) if scene.sensor != "accelerometer" else log_uniform(rng, 2e5, 5e6)
    out[:] = gain * record(turn @ motion, scene.sensor, rate_hz=RATE_HZ)
    return p / FINE, s / FINE


def _pulses(
    rng: np.random.Generator, c: SimulationConfig, scene: _Scene, t_star: dict[str, float], slower: float
) -> dict[str, Floats]:
    # Velocity pulses at 400 Hz of P and S at the source, on the vertical and on the horizontals.
    f = fft.rfftfreq(N_PULSE, 1 / (RATE_HZ * FINE))
    kappa = log_uniform(rng, *c.kappa_s)
    # The digitiser's low-pass.
    common = 1.0 / np.sqrt(1.0 + (f / (0.43 * RATE_HZ)) ** 16)
    corner = {"S": scene.corner_hz, "P": scene.corner_hz * rng.uniform(1.0, 1.7)}
    near = {"S": kappa, "P": kappa * rng.uniform(0.3, 0.9)}
    ground = np.stack([transfer(scene.crust, f, wave) for wave in ("P", "S")])
    out = {}
    for wave in ("P", "S"):
        shape = (
            common
            * source.brune(f, corner[wave])
            * np.exp(-np.pi * (f * near[wave] + f**slower * t_star[wave]))
        )
        displacement = source.minimum_phase(shape * ground) * RATE_HZ * FINE
        out[wave] = np.diff(displacement, prepend=0.0, axis=-1) * RATE_HZ * FINE
    return out


def _amplitude(scene: _Scene) -> dict[str, float]:
    # Far field of the seismic moment, for radiation 1 and spreading 1 km: Aki & Richards (2002), eq. 9.66.
    crust, at, top = scene.crust, scene.crust.layer(scene.depth), scene.crust.basement
    waves: tuple[Wave, Wave] = ("P", "S")
    out: dict[str, float] = {}
    for wave in waves:
        v = crust.speed(wave) * 1e3
        rho = crust.density * 1e3
        root = np.sqrt(rho[at] * rho[top] * v[at] * v[top])
        out[wave] = float(moment_nm(scene.magnitude)) / (4 * np.pi * root * v[at] ** 2 * 1e3)
    return out


def _vector(rng: np.random.Generator, scene: _Scene, a: Arrival, rough: float) -> Floats:
    """Motion up, away and across for a wave of unit amplitude, radiation included."""
    crust, at, top = scene.crust, scene.crust.layer(scene.depth), scene.crust.basement
    sine = min(1.0, a.slowness * float(crust.speed(a.wave)[at]))
    takeoff = np.arcsin(sine) if a.down else np.pi - np.arcsin(sine)
    p, sv, sh = source.radiation(*scene.mechanism, scene.azimuth, takeoff)
    # The direction in which SV counts as positive turns over with the ray.
    sv = sv if a.down else -sv
    # Small-scale structure fills the nodes: no wave vanishes altogether.
    p, sv, sh = (np.copysign(np.hypot(x, rough * rng.uniform(0.5, 1.5)), x) for x in (p, sv, sh))
    vp, vs = float(crust.vp[top]), float(crust.vs[top])
    if top:
        # Soft ground turns the rays upright.
        vp, vs = float(crust.vp[:top].mean()), float(crust.vs[:top].mean())
    z, r = free_surface(a.ends, a.slowness, vp, vs)
    if a.wave == "P":
        motion = np.array([p * z, p * r, 0.0])
    else:
        motion = np.array([sv * z, sv * r, 2.0 * sh if a.ends == "S" else 0.0])
    bend = rng.normal(0, 0.15)
    away, across = motion[1], motion[2]
    motion[1] = away * np.cos(bend) - across * np.sin(bend)
    motion[2] = away * np.sin(bend) + across * np.cos(bend)
    return motion


def _ruptures(rng: np.random.Generator, scene: _Scene) -> list[tuple[float, float]]:
    # Larger earthquakes may break in steps, the first of them weak: delay [s] and weight.
    if rng.random() > 0.15 + 0.15 * max(scene.magnitude - 1.5, 0.0):
        return [(0.0, 1.0)]
    n = int(rng.integers(2, 5))
    delays = np.concatenate([[0.0], rng.exponential(0.7 / scene.corner_hz, n - 1)])
    weights = rng.dirichlet(np.ones(n))
    weights[0] = max(weights[0], 0.1)
    return [(float(d), float(w)) for d, w in zip(delays, weights)]


def _add(motion: Floats, pulse: Floats, vector: Floats, onset: int) -> None:
    # The samples of the record at and after the onset, which lies on the fine grid.
    begin = -(-onset // FINE)
    if begin >= N_SAMPLE:
        return
    piece = pulse[:, begin * FINE - onset :: FINE][:, : N_SAMPLE - begin]
    end = begin + piece.shape[1]
    motion[0, begin:end] += vector[0] * piece[0]
    motion[1, begin:end] += vector[1] * piece[1]
    motion[2, begin:end] += vector[2] * piece[1]


def _coda(
    rng: np.random.Generator,
    c: SimulationConfig,
    scene: _Scene,
    pulses: dict[str, Floats],
    amplitude: dict[str, float],
    p: int,
    s: int,
    slower: float,
) -> Floats:
    """Scattered waves, up, away and across, float64 ``(3, n_sample)``: noise under envelopes of energy."""
    crust, at = scene.crust, scene.crust.layer(scene.depth)
    way = float(np.hypot(scene.distance, scene.depth))
    scattering = log_uniform(rng, *c.scattering_per_km)
    quality_coda = crust.qs[at] * rng.uniform(0.5, 1.5)
    t = np.arange(N_SAMPLE) / RATE_HZ
    after_p, after_s = t - p / RATE_HZ, t - s / RATE_HZ
    until = (s - p) / RATE_HZ
    # Scattering forwards draws the waves out, the more the longer they travel: Sato (1989),
    # doi:10.1029/JB094iB12p17735.
    growth = 1.0 + until / BROADENING_S
    share = log_uniform(rng, *c.local_share) * growth
    decay = log_uniform(rng, *c.local_decay_s) * growth
    f = fft.rfftfreq(N_FFT, 1 / RATE_HZ)
    spectrum = {w: fft.rfft(pulses[w][:, ::FINE], N_FFT) for w in ("P", "S")}
    total = np.zeros((3, len(f)), np.complex64)

    def shake(wave: Wave, energy: Floats, loss_s: float) -> None:
        level = amplitude[wave] * source.RMS_RADIATION[wave] * 2.0 / way
        begin, end = np.flatnonzero(energy[0])[[0, -1]]
        noise = np.zeros((3, N_SAMPLE), np.float32)
        noise[:, begin : end + 1] = rng.standard_normal((3, end + 1 - begin), np.float32)
        noise[:, begin : end + 1] *= np.sqrt(energy[:, begin : end + 1] / RATE_HZ)
        colour = level * spectrum[wave][[0, 1, 1]]
        if loss_s:
            colour = colour * np.exp(-np.pi * f**slower * loss_s)
        total[:] += colour * fft.rfft(noise, N_FFT)

    def polarised(weights: list[float], energy: Floats) -> Floats:
        return np.square(weights)[:, np.newaxis] * energy

    p_local = coda.local(after_p, share, decay * rng.uniform(1, 4))
    scattered = coda.multiple(after_p, way, float(crust.vp[at]), scattering)
    scattered *= np.exp(-np.maximum(after_p, 0) * 12.0 / quality_coda)
    shake("P", polarised(P_LOCAL, p_local) + polarised(MIXED, scattered), 0.0)

    before = coda.forerunner(
        after_p, until, log_uniform(rng, *c.forerunner_share) * growth, rng.uniform(0.3, 4.0)
    )
    before[s:] = 0.0
    s_local = coda.local(after_s, share * rng.uniform(0.5, 2.0), decay * rng.uniform(0.6, 1.4))
    scattered = coda.multiple(after_s, way, float(crust.vs[at]), scattering)
    # High frequencies die first: windows of growing lapse time, each with the loss of its middle.
    for a, b in pairwise(CODA_WINDOWS_S):
        inside = polarised(MIXED, np.where((after_s >= a) & (after_s < b), scattered, 0.0))
        if not a:
            inside = inside + polarised(FORERUNNER, before) + polarised(MIXED, s_local)
        if inside.any():
            shake("S", inside, 0.5 * (a + b) / quality_coda if a else 0.0)
    out: Floats = fft.irfft(total, N_FFT)[:, :N_SAMPLE].astype(np.float64)
    # A transform of finite precision leaves a trace before the onset.
    out[:, :p] = 0.0
    return out
