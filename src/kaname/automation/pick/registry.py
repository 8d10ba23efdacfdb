"""What every picker offers, and the registry that finds one by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np

from kaname.core.errors import InputError
from kaname.core.registry import Registry
from kaname.core.waveform import Waveform

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import BaseModel


class Pick(NamedTuple):
    """The onset of one phase on one sensor: a row of the ``picks`` table (`kaname.core.tables.PICKS`)."""

    network: str
    station: str
    location: str
    channel: str
    """SEED channel on which the onset was measured."""
    phase: str
    """``P`` or ``S``."""
    time: np.datetime64
    """Onset, UTC."""
    time_uncertainty_s: float
    """Half the width of the interval that holds the onset time in 68.3 % [s]; docs/picking.md has the law."""
    probability: float
    """The picker's confidence, 0 to 1."""
    polarity: str = ""
    """First motion on `channel`: ``up``, ``down`` or empty."""
    snr_db: float = float("nan")
    """Signal-to-noise ratio about the onset [dB]."""
    method: str = ""

    @property
    def sensor(self) -> str:
        """``NET.STA.LOC.BI``, as `Waveform.sensor` gives it."""
        band = self.channel[:-1] if len(self.channel) > 1 else self.channel
        return f"{self.network}.{self.station}.{self.location}.{band}"

    @property
    def pick_id(self) -> str:
        """Identifier that follows from sensor, phase and time [microsecond] alone, so that reruns agree."""
        stamp = str(self.time.astype("datetime64[us]")).translate({ord("-"): None, ord(":"): None})
        return f"{self.sensor}_{self.phase}_{stamp}"


class Picker(Protocol):
    """A `kaname.core.step.Step` from blocks of ONE sensor, in time order, to picks.

    A block holds any subset of the sensor's channels in any order, at any rate the picker accepts, in any
    unit. A block that does not follow the last (a gap, another rate, another set of channels) ends the
    stretch: what is pending is finished as if the record ended there, and the next stretch starts afresh. A
    picker whose `bridges_gaps` is true takes no notice of where stretches end: it knows which samples are
    missing, and uses what lies on either side.
    However the input is cut into blocks, the picks are the same. The contract is tested on every
    registered picker by ``tests/contracts/test_pickers.py``.
    """

    name: str
    bridges_gaps: bool

    def start(self) -> Any:
        """Return the state before any input; it is picklable."""

    def __call__(self, state: Any, item: Waveform) -> tuple[Any, list[Pick]]:
        """Take in the next block; return the new state and the picks that are now final, in time order.

        Raises
        ------
        InputError
            When the block holds several sensors, starts before the last one ended, or has a sampling rate
            that the picker cannot use.
        """

    def finish(self, state: Any) -> list[Pick]:
        """Return the picks still held back when the input ends."""


Settings = TypeVar("Settings", bound="BaseModel")
P = TypeVar("P", bound=Callable[..., Picker])

_PICKERS: Registry[Callable[..., Picker]] = Registry(
    "picker",
    "pickers",
    [
        f"kaname.automation.pick.{module}"
        for module in ("classical", "easyquake", "kaname", "pickerxl", "seisbench", "triggered")
    ],
)


def picker(name: str) -> Callable[[P], P]:
    """Class decorator: make a picker known under ``name``; a name taken twice raises.

    The class takes ``(settings, variant)``: an instance of its attribute ``Settings`` (a pydantic model)
    and what follows the colon of the name the user gave, such as ``phasenet/stead``.
    """
    return _PICKERS.decorator(name)


def names() -> list[str]:
    """Return the names of the registered pickers, sorted."""
    return _PICKERS.names()


def settings_of(name: str) -> type[BaseModel]:
    """Return the pydantic model of the settings of a picker."""
    return _find(name).Settings  # type: ignore[no-any-return, attr-defined]


def get_picker(name: str, settings: BaseModel | Mapping[str, Any] | None = None) -> Picker:
    """Return a picker by name.

    Parameters
    ----------
    name
        A registered name, with what it needs to know after a colon: ``classical``,
        ``seisbench:phasenet/stead``.
    settings
        Settings of the picker, as its model or as a mapping; by default its defaults.

    Raises
    ------
    NotFoundError
        When there is no picker of that name.
    InputError
        When a setting is unknown or out of its bounds.
    MissingDependencyError
        When the picker needs a package that is not installed; the message says how to install it.
    """
    from pydantic import BaseModel, ValidationError

    cls: Any = _find(name)
    values = settings.model_dump() if isinstance(settings, BaseModel) else dict(settings or {})
    try:
        checked = cls.Settings(**values)
    except ValidationError as error:
        details = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}, found {e['input']!r}" for e in error.errors()
        )
        known = ", ".join(cls.Settings.model_fields)
        raise InputError(f"settings of picker {name!r}: {details}; known settings are {known}") from error
    picker: Picker = cls(checked, name.partition(":")[2])
    return picker


def picks_table(picks: Iterable[Pick]) -> pd.DataFrame:
    """Return picks as a validated table of the schema `kaname.core.tables.PICKS`, in order of time."""
    from kaname.core.tables import PICKS, table

    rows = [{"pick_id": p.pick_id, **p._asdict()} for p in sorted(picks, key=lambda p: (p.time, p.pick_id))]
    return table(rows, PICKS)


def _find(name: str) -> Callable[..., Picker]:
    return _PICKERS.find(name, variants=True)
