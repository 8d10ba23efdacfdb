"""A random layered crust, and the rays that run through it: direct, head, reflected and converted waves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.earth.velocity import VelocityModel

Floats = NDArray[np.float64]
Wave = Literal["P", "S"]


@dataclass(frozen=True, eq=False)
class Crust:
    """Homogeneous layers over a half-space, the upper ones soil and sediment.

    Parameters
    ----------
    tops
        Depth of the top of each layer [km], float64 ``(n,)``, the first at 0.
    vp, vs
        Speeds [km/s], float64 ``(n,)``.
    density
        Density [g/cm3], float64 ``(n,)``.
    qp, qs
        Quality factors [1], float64 ``(n,)``.
    basement
        Index of the first layer of rock: those above it are soil and sediment.
    """

    tops: Floats
    vp: Floats
    vs: Floats
    density: Floats
    qp: Floats
    qs: Floats
    basement: int

    def model(self, name: str = "simulated") -> VelocityModel:
        """Return the speeds as a `VelocityModel`."""
        return VelocityModel(name, self.tops, self.vp, self.vs)

    def speed(self, wave: Wave) -> Floats:
        """Return the speeds of one wave [km/s], float64 ``(n,)``."""
        return self.vp if wave == "P" else self.vs

    def quality(self, wave: Wave) -> Floats:
        """Return the quality factors of one wave [1], float64 ``(n,)``."""
        return self.qp if wave == "P" else self.qs

    def layer(self, depth_km: float) -> int:
        """Return the index of the layer at a depth [km]."""
        return int(np.searchsorted(self.tops, depth_km, side="right")) - 1


def density_of(vp: Floats) -> Floats:
    """Return the density [g/cm3] of rock with speeds ``vp`` [km/s].

    The Nafe-Drake curve of Brocher (2005), doi:10.1785/0120050077.
    """
    return 1.6612 * vp - 0.4721 * vp**2 + 0.0671 * vp**3 - 0.0043 * vp**4 + 0.000106 * vp**5


def random_crust(
    rng: np.random.Generator,
    *,
    vp_vs: tuple[float, float],
    sediment_share: float,
    sediment_km: tuple[float, float],
    quality_s: tuple[float, float],
) -> Crust:
    """Draw a crust: soil, perhaps sediment, a weathered gradient, two or three layers of rock and a mantle.

    Parameters
    ----------
    rng
        Source of the draws.
    vp_vs
        Range of Vp/Vs of the rock [1]; sediment and soil are drawn higher.
    sediment_share
        Probability of a layer of sediment.
    sediment_km
        Range of its thickness [km], drawn evenly in the logarithm.
    quality_s
        Range of the quality factor of S in rock [1], drawn evenly in the logarithm.
    """
    thick: list[float] = []
    vp: list[float] = []
    ratio: list[float] = []
    quality: list[float] = []

    def add(thickness: float, speed: float, vp_over_vs: float, q: float) -> None:
        thick.append(thickness)
        vp.append(speed)
        ratio.append(vp_over_vs)
        quality.append(q)

    rock_ratio = rng.uniform(*vp_vs)
    rock_q = log_uniform(rng, *quality_s)
    if rng.random() < 0.7:
        vs_soil = log_uniform(rng, 0.15, 0.8)
        over = rng.uniform(2.0, 3.2)
        add(log_uniform(rng, 0.003, 0.06), vs_soil * over, over, rng.uniform(10, 40))
    if rng.random() < sediment_share:
        n = int(rng.integers(1, 3))
        total = log_uniform(rng, *sediment_km)
        start = max(rng.uniform(1.7, 3.2), vp[-1] * 1.1 if vp else 0.0)
        for k in range(n):
            speed = min(start * (1 + 0.35 * k), 4.2)
            add(total / n, speed, rng.uniform(1.8, 2.6) - 0.2 * k, rng.uniform(20, 100))
    basement = len(vp)
    surface = max(rng.uniform(3.2, 5.6), 1.15 * vp[-1] if vp else 0.0)
    upper = max(rng.uniform(5.4, 6.2), surface + 0.2)
    depth_scale = log_uniform(rng, 0.5, 5.0)
    # A gradient below the surface of the rock, as steps that grow thicker downwards.
    n_steps = int(rng.integers(2, 5))
    for k in range(n_steps):
        share = (k + rng.uniform(0.2, 0.8)) / n_steps
        add(
            depth_scale * (0.5 + k) / n_steps,
            surface + share * (upper - surface),
            rock_ratio + 0.1 * (1 - share) * rng.random(),
            rock_q * (0.3 + 0.7 * share),
        )
    add(rng.uniform(5, 12), upper, rock_ratio, rock_q)
    middle = upper + rng.uniform(0.1, 0.6)
    add(rng.uniform(6, 14), middle, rock_ratio + rng.uniform(-0.03, 0.03), rock_q * 1.2)
    lower = middle + rng.uniform(0.15, 0.6)
    if rng.random() < 0.7:
        add(rng.uniform(4, 14), lower, rock_ratio + rng.uniform(-0.03, 0.05), rock_q * 1.4)
    add(0.0, max(rng.uniform(7.6, 8.2), lower + 0.4), rng.uniform(1.72, 1.82), rock_q * 2)
    tops = np.concatenate([[0.0], np.cumsum(thick[:-1])])
    p, s_over = np.array(vp), np.array(ratio)
    q_s = np.array(quality)
    return Crust(tops, p, p / s_over, density_of(p), q_s * rng.uniform(0.8, 2.0), q_s, basement)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number evenly in its logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def conversion(crust: Crust, slowness: float, wave: Wave) -> float:
    """Return what becomes of a wave of the other kind where the rock ends, over what goes on at right angles.

    ``wave`` comes from below as P or SV of unit displacement. The four waves that leave the interface follow
    from displacement and stress, which are the same on either side (Aki & Richards 2002, section 5.2.4).
    Where a wave is evanescent, its size with the sign of the real part is given, at most 1.

    Raises
    ------
    InputError
        When the rock reaches the surface.
    """
    if not crust.basement:
        raise InputError("the rock reaches the surface; no wave is converted")
    other = _through(crust, slowness, wave)[1 if wave == "P" else 0]
    straight = _through(crust, 1e-9, "S" if wave == "P" else "P")[0 if wave == "S" else 1]
    return float(np.copysign(min(abs(other), abs(straight)), other.real) / abs(straight))


def _through(crust: Crust, p: float, wave: Wave) -> tuple[complex, complex]:
    # P and SV above the basement, under a wave of unit displacement from below. Columns: displacement along
    # and up, normal and shear traction, for a wave with vertical slowness q upwards or downwards.
    def column(k: int, kind: Wave, sign: float) -> list[complex]:
        v = crust.speed(kind)[k]
        q = sign * np.sqrt(complex(1 / v**2 - p**2))
        along, up = (v * p, v * q) if kind == "P" else (v * q, -v * p)
        mu = crust.density[k] * crust.vs[k] ** 2
        lam = crust.density[k] * crust.vp[k] ** 2 - 2 * mu
        return [along, up, lam * (p * along + q * up) + 2 * mu * q * up, mu * (q * along + p * up)]

    above, below = crust.basement - 1, crust.basement
    leaving = [column(above, "P", 1), column(above, "S", 1)]
    back = [[-x for x in column(below, kind, -1)] for kind in get_args(Wave)]
    through = np.linalg.solve(np.array(leaving + back).T, np.array(column(below, wave, 1)))
    return complex(through[0]), complex(through[1])


class Arrival(NamedTuple):
    """One wave at the station: what it is, when it comes and how strong."""

    kind: str
    """direct, head, reflected or converted"""
    wave: Wave
    """Wave that leaves the source."""
    ends: Wave
    """Wave that reaches the surface."""
    time: float
    """Travel time [s]."""
    slowness: float
    """Horizontal slowness [s/km]."""
    down: bool
    """Whether the ray leaves the source downwards."""
    spread_km: float
    """Geometrical spreading, as the distance of a homogeneous medium [km]."""
    strength: float
    """What interfaces leave of the amplitude [1]."""
    t_star: float
    """Travel time over quality factor along the ray [s]."""


@njit(cache=True)
def trace(thick: Floats, speed: Floats, distance: float) -> tuple[float, float, float]:
    """Return slowness [s/km], time [s] and dX/dp of the ray through legs of given thickness.

    Newton's method on the tangent of the flattest angle, on which X is increasing and concave.
    """
    fastest = speed.max()
    u = 0.0
    slope = 1.0
    for _ in range(100):
        reach, slope = 0.0, 0.0
        for j in range(len(thick)):
            ratio = speed[j] / fastest
            root = np.sqrt(1.0 + u * u * (1.0 - ratio * ratio))
            reach += thick[j] * ratio * u / root
            slope += thick[j] * ratio / root**3
        step = (distance - reach) / slope
        u += step
        if abs(step) <= 1e-11 * (1.0 + u):
            break
    secant = np.sqrt(1.0 + u * u)
    time = 0.0
    for j in range(len(thick)):
        ratio = speed[j] / fastest
        time += thick[j] / speed[j] * secant / np.sqrt(1.0 + u * u * (1.0 - ratio * ratio))
    return u / secant / fastest, time, slope * secant**3 * fastest


@njit(cache=True)
def along(thick: Floats, speed: Floats, quality: Floats, slowness: float) -> tuple[float, float, float]:
    """Return tau [s], distance [km] and t* [s] of a ray of one slowness through legs."""
    tau, reach, t_star = 0.0, 0.0, 0.0
    for j in range(len(thick)):
        sine = slowness * speed[j]
        cosine = np.sqrt(max(1.0 - sine * sine, 1e-12))
        tau += thick[j] * cosine / speed[j]
        reach += thick[j] * sine / cosine
        t_star += thick[j] / (cosine * speed[j] * quality[j])
    return tau, reach, t_star


def arrivals(
    crust: Crust, depth_km: float, distance_km: float, rng: np.random.Generator, *, head: tuple[float, float]
) -> list[Arrival]:
    """Return the waves that reach a station on the surface, P and S.

    Times are exact for the layers. So is the spreading of direct, reflected and converted rays. What is
    reflected beyond the critical angle is drawn, and so is the amplitude of head waves, which hangs on
    gradients below the interface that the layers do not have.

    Parameters
    ----------
    crust
        The layers.
    depth_km, distance_km
        Source depth and epicentral distance [km]; the source lies in the rock.
    rng
        Source of the drawn strengths.
    head
        Range of the amplitude of a head wave in terms of a direct wave at that distance [1].

    Raises
    ------
    InputError
        When the source lies in sediment or the distance is not positive.
    """
    at = crust.layer(depth_km)
    if at < crust.basement or not distance_km > 0:
        raise InputError(
            f"source at {depth_km:g} km depth, {distance_km:g} km away; expected below the sediment "
            f"({crust.tops[crust.basement]:g} km) and a positive distance"
        )
    edges = np.append(crust.tops, np.inf)
    up = np.minimum(edges[1 : at + 2], depth_km) - edges[: at + 1]
    out: list[Arrival] = []
    waves: tuple[Wave, Wave] = ("P", "S")
    for wave in waves:
        speed, quality = crust.speed(wave), crust.quality(wave)
        out.append(
            _ray(
                "direct",
                wave,
                wave,
                up,
                speed[: at + 1],
                quality[: at + 1],
                distance_km,
                crust,
                at,
                1.0,
                False,
            )
        )
        other: Wave = "S" if wave == "P" else "P"
        if crust.basement:
            # Converted where the rock ends: the last legs run with the other speed.
            k = crust.basement
            mixed = np.concatenate([crust.speed(other)[:k], speed[k : at + 1]])
            mixed_q = np.concatenate([crust.quality(other)[:k], quality[k : at + 1]])
            bent = _ray("converted", wave, other, up, mixed, mixed_q, distance_km, crust, at, 1.0, False)
            out.append(bent._replace(strength=conversion(crust, bent.slowness, wave)))
        fastest = speed[: at + 1].max()
        for k in range(at + 1, len(speed)):
            below = np.minimum(edges[at + 1 : k + 1], edges[k]) - np.maximum(edges[at:k], depth_km)
            thick = np.concatenate([up, below, below])
            order = np.concatenate([np.arange(at + 1), np.arange(at, k), np.arange(at, k)])
            legs, legs_q = speed[order], quality[order]
            if speed[k] > fastest:
                slowness = 1.0 / speed[k]
                tau, critical, t_star = along(thick, legs, legs_q, slowness)
                if distance_km > critical:
                    spread = float(np.hypot(distance_km, depth_km))
                    t_star += (distance_km - critical) / (speed[k] * quality[k])
                    strength = rng.uniform(*head)
                    time = tau + slowness * distance_km
                    out.append(Arrival("head", wave, wave, time, slowness, True, spread, strength, t_star))
            fastest = max(fastest, speed[k])
            contrast = speed[k] * crust.density[k] / (speed[k - 1] * crust.density[k - 1])
            ray = _ray("reflected", wave, wave, thick, legs, legs_q, distance_km, crust, at, 1.0, True)
            beyond = ray.slowness * speed[k] >= 1.0
            strength = rng.uniform(0.2, 0.8) if beyond else (contrast - 1.0) / (contrast + 1.0)
            out.append(ray._replace(strength=strength * rng.choice([-1.0, 1.0])))
    return out


def _ray(
    kind: str,
    wave: Wave,
    ends: Wave,
    thick: Floats,
    speed: Floats,
    quality: Floats,
    distance: float,
    crust: Crust,
    at: int,
    strength: float,
    down: bool,
) -> Arrival:
    slowness, time, slope = trace(thick, speed, distance)
    t_star = along(thick, speed, quality, slowness)[2]
    start, end = crust.speed(wave)[at], crust.speed(wave)[crust.basement]
    cosines = np.sqrt(max(1.0 - (slowness * start) ** 2, 1e-4) * max(1.0 - (slowness * end) ** 2, 1e-4))
    spread = float(np.sqrt(cosines * distance / slowness * slope) / start)
    return Arrival(kind, wave, ends, time, slowness, down, spread, strength, t_star)
