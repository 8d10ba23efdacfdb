"""Coefficients of published models: one CSV per model, one row per measure, as their authors print them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import cached_property
from importlib.resources import files

import numpy as np

from kaname.core.errors import InputError
from kaname.core.shaking import period_of
from kaname.modeling.ground_motion.contract import Prediction


class Coefficients:
    """The table of one model; spectral accelerations between two of its periods are interpolated.

    Not the coefficients are interpolated but what they predict, linearly in the logarithm of the period, as
    the authors' own programs do: coefficients of neighbouring periods trade off against one another.
    """

    def __init__(self, model: str) -> None:
        self.model = model

    @cached_property
    def _rows(self) -> dict[str, dict[str, float]]:
        text = files(__package__).joinpath(f"{self.model}.csv").read_text(encoding="utf-8")
        rows = {row.pop("measure"): row for row in csv.DictReader(text.splitlines())}
        return {measure: {name: float(value) for name, value in row.items()} for measure, row in rows.items()}

    @cached_property
    def _periods(self) -> dict[float, str]:
        return {period: row for row in self._rows if (period := period_of(row)) is not None}

    @property
    def measures(self) -> tuple[str, ...]:
        """Measures that have a row of their own."""
        return tuple(self._rows)

    def __getitem__(self, measure: str) -> dict[str, float]:
        """Return the row of a measure, coefficients by name."""
        return self._rows[measure]

    def interpolated(self, measure: str, predict: Callable[[str], Prediction]) -> Prediction:
        """Return what ``predict`` says of a measure of the table, or between the two nearest periods.

        Raises
        ------
        InputError
            When the table has no such measure, or the period lies outside its periods.
        """
        period, known = period_of(measure), self._periods
        if period is None and measure in self._rows:
            return predict(measure)
        if period in known:
            return predict(known[period])
        if period is None or not known or not min(known) < period < max(known):
            listed = [row for row in self._rows if row not in known.values()]
            spectra = f" and sa({min(known):g}) to sa({max(known):g})" if known else ""
            raise InputError(f"{self.model} has no {measure}; it knows {', '.join(listed)}{spectra}")
        below, above = max(p for p in known if p < period), min(p for p in known if p > period)
        share = np.log(period / below) / np.log(above / below)
        low, high = predict(known[below]), predict(known[above])
        return Prediction(
            low.mean + share * (high.mean - low.mean),
            low.tau + share * (high.tau - low.tau),
            low.phi + share * (high.phi - low.phi),
        )
