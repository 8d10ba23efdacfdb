"""What ETAS must add where small earthquakes are missed for a while: fewer targets, and sources unseen.

Of the earthquakes at a time of completeness M_c a share S = P(m >= M_c) is seen, by the law of magnitudes.
The rate of what is seen is S times that of all, and so is its integral. What is not seen triggers, too: to
each earthquake that is seen belong, in the mean, 1 / S - 1 unseen ones of the same time and place, and the
productivity of those, by the same law, is added to its own. (Mizrahi, Nandan & Wiemer 2021,
doi:10.1785/0220210156, multiply the productivity of what is seen instead, which is right in the mean as well
but rests on the few large ones.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.discovery.seismicity.contract import DAY, Target
from kaname.discovery.seismicity.gutenberg_richter import GutenbergRichter

_LEAST = 1e-12
"""Least share that is reckoned with."""


@dataclass(frozen=True, eq=False)
class Hidden:
    """What a completeness that changes hides of one target period.

    Parameters
    ----------
    begin, end, share
        Intervals of the period [day since start] in which this share of the earthquakes is not seen ``(k,)``.
    seen
        Share that is seen at the time of each target ``(m,)``.
    log_extra
        Logarithm of the factor by which unseen companions raise the productivity of each source ``(n,)``.
    """

    begin: NDArray[np.float64]
    end: NDArray[np.float64]
    share: NDArray[np.float64]
    seen: NDArray[np.float64]
    log_extra: NDArray[np.float64]

    @classmethod
    def of(cls, sources: pd.DataFrame, target: Target, law: GutenbergRichter, alpha: float) -> Hidden | None:
        """Return what is hidden of a target whose completeness changes, None of others.

        Parameters
        ----------
        sources, target
            Of `Target.sources`, and that target.
        law
            Of the magnitudes.
        alpha
            Growth of the number of aftershocks with magnitude (`EtasParameters.alpha`).
        """
        steps = target.completeness
        if steps is None:
            return None
        edge = np.append((steps.time - target.start) / DAY, np.inf)
        begin, end = np.clip(edge[:-1], 0, target.days), np.clip(edge[1:], 0, target.days)
        share = 1 - law.exceeding(steps.magnitude)
        kept = (share > 0) & (end > begin)
        seen = law.exceeding(sources.loc[sources["target"], "completeness"].to_numpy(float))
        return cls(
            begin[kept], end[kept], share[kept], np.maximum(seen, _LEAST),
            np.log1p(companions(sources, law, alpha)),
        )  # fmt: skip

    def until(self, end: float) -> Hidden:
        """Return the same with its intervals cut at ``end`` [day]."""
        return replace(self, begin=np.minimum(self.begin, end), end=np.minimum(self.end, end))

    def seen_at(self, day: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the share that is seen at times of the period [day]."""
        k = np.searchsorted(self.begin, day, side="right") - 1
        within = (k >= 0) & (day < np.append(self.end, -np.inf)[k])
        return np.asarray(1 - np.where(within, np.append(self.share, 0.0)[k], 0.0))

    @property
    def days(self) -> float:
        """Length of a time without any earthquake that would hide as many of the background [day]."""
        return float((self.share * (self.end - self.begin)).sum())


def companions(sources: pd.DataFrame, law: GutenbergRichter, alpha: float) -> NDArray[np.float64]:
    """Return the productivity of the unseen companions of each source, in units of its own.

    Parameters
    ----------
    sources
        Of `Target.sources`.
    law, alpha
        See `Hidden.of`.
    """
    beta = law.b * np.log(10)
    least = sources["completeness"].to_numpy(float)
    x = (alpha - beta) * (least - law.magnitude_min)
    # The integral of the density of magnitudes times exp(alpha m) over what is not seen.
    growth = np.where(np.abs(x) < 1e-9, 1.0, np.expm1(x) / np.where(np.abs(x) < 1e-9, 1.0, x))
    whole = -np.expm1(-beta * (law.magnitude_max - law.magnitude_min))
    unseen = beta * (least - law.magnitude_min) * growth / whole
    own = np.exp(alpha * (sources["magnitude"].to_numpy(float) - law.magnitude_min))
    return np.asarray(unseen / np.maximum(law.exceeding(least), _LEAST) / own)
