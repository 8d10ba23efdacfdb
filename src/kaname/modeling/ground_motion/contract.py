"""What every model of ground motion offers, and the registry that finds one by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from kaname.core.errors import InputError
from kaname.core.registry import Registry

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    """The distribution of one measure at each row: normal in the natural logarithm."""

    mean: Floats
    """Natural logarithm of the median, in `kaname.core.shaking.unit_of` the measure; of an intensity, the
    intensity itself; ``(n,)``."""
    tau: Floats
    """Standard deviation between events, ``(n,)``."""
    phi: Floats
    """Standard deviation within an event, site to site included, ``(n,)``."""

    @property
    def sigma(self) -> Floats:
        """Total standard deviation, ``(n,)``."""
        return np.hypot(self.tau, self.phi)

    @property
    def median(self) -> Floats:
        """Median in the unit of the measure, ``(n,)``; not for an intensity, whose `mean` is no logarithm."""
        return np.exp(self.mean)


class GroundMotionModel(Protocol):
    """A scenario per row of the table `kaname.core.shaking.GROUND_MOTIONS` in, a distribution out.

    The answer for a row depends on that row alone, and on no column but those that the model needs. The
    contract is tested on every registered model by ``tests/contracts/test_ground_motion_models.py``.
    """

    name: str
    """Author and year, such as ``zhao_2006``."""
    needs: tuple[str, ...]
    """Columns in which no value may be missing."""
    measures: tuple[str, ...]
    """Measures with coefficients of their own; between two spectral accelerations it interpolates."""

    def predict(self, table: pd.DataFrame, measure: str) -> Prediction:
        """Return the distribution of a measure at every row.

        Raises
        ------
        InputError
            When a needed column is absent or has missing values, or the model does not know the measure.
        """


M = TypeVar("M", bound=Callable[..., Any])

_MODELS: Registry[Callable[..., Any]] = Registry(
    "model of ground motion",
    "models of ground motion",
    [
        f"kaname.modeling.ground_motion.{module}"
        for module in ("boore_2014", "boosted", "forest", "openquake", "si_midorikawa_1999", "zhao_2006")
    ],
)


def model(name: str) -> Callable[[M], M]:
    """Class decorator: make a model known under ``name``; a name taken twice raises.

    The options of the class are keyword arguments. A class that stands for a library of models takes what
    follows the colon of the name the user gave, such as ``openquake:BooreEtAl2014``, as its first argument.
    """
    return _MODELS.decorator(name)


def names() -> list[str]:
    """Return the names of the registered models, sorted."""
    return _MODELS.names()


def get_model(name: str, **options: Any) -> Any:
    """Return a model by name, made with its options.

    Parameters
    ----------
    name
        A registered name, with the name inside a library after a colon: ``boore_2014``,
        ``openquake:BooreEtAl2014``.
    options
        Options of the model, such as ``region="japan"``.

    Raises
    ------
    NotFoundError
        When there is no model of that name.
    InputError
        When an option is unknown or its value is.
    """
    base, colon, variant = name.partition(":")
    cls = _MODELS.find(name, variants=True)
    arguments = (variant,) if colon else ()
    try:
        inspect.signature(cls).bind(*arguments, **options)
    except TypeError as error:
        raise InputError(
            f"model {name!r}: {error}; it is called as {base}{inspect.signature(cls)}"
        ) from error
    return cls(*arguments, **options)


def needed(table: pd.DataFrame, columns: Sequence[str], name: str) -> dict[str, NDArray[Any]]:
    """Return columns of a table as arrays, after checking that none is absent and no value missing.

    Numbers come as float64, text as it is.

    Raises
    ------
    InputError
        Naming the model, the column and the first rows that have no value.
    """
    absent = [column for column in columns if column not in table]
    if absent:
        raise InputError(
            f"{name} needs the column{'s' * (len(absent) > 1)} {', '.join(absent)}; the table has "
            f"{', '.join(map(str, table.columns)) or 'none'}"
        )
    arrays = {}
    for column in columns:
        values = table[column].to_numpy()
        if values.dtype.kind in "fiub":
            values = values.astype(float)
            missing = ~np.isfinite(values)
        else:
            missing = np.asarray(table[column].isna() | (table[column] == ""))
        if missing.any():
            rows = ", ".join(map(str, table.index[missing][:5])) + ", ..." * int(missing.sum() > 5)
            raise InputError(
                f"{name} needs {column}, missing in {missing.sum()} of {len(table)} rows (index {rows}); "
                "fill it, leave these rows out, or choose a model or an option that does without it"
            )
        arrays[column] = values
    return arrays
