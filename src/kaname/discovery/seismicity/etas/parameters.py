"""Parameters of ETAS, in the two ways they are written."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from kaname.core.errors import InputError


@dataclass(frozen=True)
class EtasParameters:
    """Parameters of the kernel of `kaname.discovery.seismicity.etas.kernel`, magnitudes above the reference.

    Parameters
    ----------
    mu
        Background rate of the whole region [1/day].
    k0, a
        Productivity and its growth with magnitude.
    c, omega, tau
        Decay with time: offset [day], exponent less one, taper [day] (infinite: none).
    d, gamma, rho
        Decay with distance: zone [km2], its growth with magnitude, exponent less one.

    Raises
    ------
    InputError
        When a scale is not positive or a value is not a number.
    """

    mu: float
    k0: float
    a: float
    c: float
    omega: float
    tau: float
    d: float
    gamma: float
    rho: float

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            positive = field.name in ("mu", "k0", "c", "tau", "d", "rho")
            if np.isnan(value) or (positive and not value > 0):
                wanted = "a positive number" if positive else "a number"
                raise InputError(f"ETAS parameter {field.name} must be {wanted}, found {value}")
        if np.isinf(self.tau) and self.omega <= 0:
            raise InputError(
                f"without a taper omega must exceed 0, found {self.omega}: aftershocks never end"
            )

    def vector(self) -> NDArray[np.float64]:
        """Return what is fitted: logarithms of the scales, the rest as it is, in the order above."""
        values = asdict(self)
        return np.array([np.log(values[n]) if n in LOGARITHMIC else values[n] for n in NAMES])

    @classmethod
    def from_vector(cls, vector: NDArray[np.float64]) -> EtasParameters:
        """Return the parameters of a vector (see `vector`)."""
        return cls(**{n: float(np.exp(v) if n in LOGARITHMIC else v) for n, v in zip(NAMES, vector)})

    @property
    def branching_productivity(self) -> float:
        """Aftershocks of all times and places of an earthquake of the reference magnitude."""
        from kaname.discovery.seismicity.etas.kernel import time_integrals

        ever = np.array([1e12 if np.isinf(self.tau) else 60 * self.tau])
        total = time_integrals(np.zeros(1), ever, self.c, self.omega, 1 / self.tau)[0, 0]
        return float(self.k0 * total * np.pi / self.rho * self.d**-self.rho)

    @property
    def alpha(self) -> float:
        """Growth of the number of aftershocks with magnitude [per unit of magnitude, base e]."""
        return self.a - self.gamma * self.rho

    @classmethod
    def from_ogata_zhuang(
        cls, *, mu: float, A: float, c: float, alpha: float, p: float, D: float, q: float, gamma: float
    ) -> EtasParameters:
        """Return the parameters of Ogata & Zhuang (2006): kappa(m) = A exp(alpha m), normalised densities.

        ``mu`` is the rate of the whole region [1/day], D is in km2; p and q exceed 1.
        """
        if not (p > 1 and q > 1):
            raise InputError(f"p and q must exceed 1, found {p} and {q}")
        k0 = A * (p - 1) * c ** (p - 1) * (q - 1) * D ** (q - 1) / np.pi
        return cls(mu, k0, alpha + gamma * (q - 1), c, p - 1, np.inf, D, gamma, q - 1)

    def ogata_zhuang(self) -> dict[str, float]:
        """Return the parameters as Ogata & Zhuang (2006) write them.

        Raises
        ------
        InputError
            When there is a taper, which they have not.
        """
        if np.isfinite(self.tau):
            raise InputError(f"Ogata and Zhuang's kernel has no taper, found tau = {self.tau:g} days")
        A = self.k0 * np.pi * self.c**-self.omega / self.omega * self.d**-self.rho / self.rho
        return {
            "mu": self.mu, "A": A, "c": self.c, "alpha": self.alpha, "p": 1 + self.omega,
            "D": self.d, "q": 1 + self.rho, "gamma": self.gamma,
        }  # fmt: skip


def by_name(vectors: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return vectors ``(n, 9)`` (`EtasParameters.vector`) by parameter, scales as such, ``(n,)`` each."""
    return {n: np.exp(v) if n in LOGARITHMIC else v for n, v in zip(NAMES, vectors.T)}


NAMES = tuple(field.name for field in fields(EtasParameters))
LOGARITHMIC = frozenset({"mu", "k0", "c", "tau", "d"})
