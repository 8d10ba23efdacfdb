"""What a user declares of files that do not say it themselves: series in CSV, and radar images.

One TOML file declares many files of a kind; ``docs/formats-sensors.md`` has examples.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kaname.core.errors import InputError, NotFoundError
from kaname.formats.declared import Declaration, read_declared
from kaname.formats.insar import Look, LosUnit, Towards, read_insar
from kaname.formats.tabular import TableRead

_RADAR = "radar"


class Radar(BaseModel):
    """What an image of displacement along the line of sight stands for, and from where it was seen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reference_time: datetime = Field(description="time of the earlier image, UTC")
    time: datetime = Field(description="time of the later image, UTC")
    incidence: float | None = Field(None, description="angle between line of sight and vertical [degrees]")
    heading: float | None = Field(None, description="direction of flight, clockwise from north [degrees]")
    looking: Literal["right", "left"] = "right"
    look_files: tuple[Path, ...] = Field(
        (), description="rasters of the east, north and up parts of the look vector, beside the declaration"
    )
    unit: LosUnit = "mm"
    positive: Towards = "satellite"
    wavelength_mm: float | None = Field(None, gt=0, description="of the radar, where the unit is radian")
    name: str = Field("", description="track or scene; by default the file's name")
    method: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Radar:
        if (self.incidence is None) != (self.heading is None):
            raise ValueError("incidence and heading belong together")
        if self.incidence is not None and self.look_files:
            raise ValueError("state incidence and heading, or look_files, not both")
        if self.look_files and len(self.look_files) != 3:
            raise ValueError(f"look_files are three: east, north, up; found {len(self.look_files)}")
        return self


def declared_reader(path: str | PathLike[str]) -> Callable[[Path], TableRead]:
    """Return what reads the files that a declaration in TOML describes.

    A table ``[radar]`` with the fields of `Radar` is for images and points of radar; anything else declares a
    series, see `kaname.formats.declared.Declaration`.

    Raises
    ------
    NotFoundError
        When there is no such file.
    InputError
        When it is no TOML or declares something that does not exist.
    """
    source = Path(path)
    if not source.is_file():
        raise NotFoundError(f"no such file: {source}")
    try:
        stated = tomllib.loads(source.read_text(encoding="utf-8"))
        if set(stated) == {_RADAR}:
            radar = Radar.model_validate(stated[_RADAR])
            return lambda file: _read_radar(file, radar, source.parent)
        declaration = Declaration.model_validate(stated)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise InputError(f"{source} is no declaration: {error}") from error
    return lambda file: read_declared(file, declaration)


def _read_radar(file: Path, radar: Radar, beside: Path) -> TableRead:
    look: Look | list[Path] | None = None
    if radar.incidence is not None and radar.heading is not None:
        look = Look.from_angles(radar.incidence, radar.heading, looking=radar.looking)
    elif radar.look_files:
        look = [beside / name for name in radar.look_files]
    return read_insar(
        file,
        time=_utc(radar.time),
        reference_time=_utc(radar.reference_time),
        look=look,
        unit=radar.unit,
        positive=radar.positive,
        wavelength_mm=radar.wavelength_mm,
        name=radar.name,
        method=radar.method,
    )


def _utc(time: datetime) -> np.datetime64:
    """Return a time that is in UTC unless it says otherwise."""
    return np.datetime64(time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time, "ns")
