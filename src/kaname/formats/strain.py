"""Borehole strainmeters: level 2 text of the Plate Boundary Observatory (EarthScope), five-minute values.

The layout, with its source, stands in ``docs/formats-sensors.md``.
"""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kaname.core.errors import FormatError, NotFoundError
from kaname.core.tables import FEATURES, validate
from kaname.formats.bundles import members
from kaname.formats.tabular import TableRead, decoded, number, numbered, time_of

NULL = 999999.0
"""What the source writes where it has no value."""
_QUALITY = {"g": "good", "b": "bad", "m": "missing", "i": "interpolated"}
_FEATURES = {"Eee+Enn": "areal_strain", "Eee-Enn": "differential_strain", "2Ene": "shear_strain"}
_COLUMNS = ("time", "strain", "quality", "tide", "trend", "pressure_effect", "pressure", "pressure_quality")


def read_strain(path: str | PathLike[str], *, station: str | None = None, network: str = "PB") -> TableRead:
    """Read level 2 strain into the `features` table: strain, its corrections, and the air pressure.

    What the source calls ``Eee+Enn``, ``Eee-Enn`` and ``2Ene`` are `areal_strain`, `differential_strain`
    (east less north) and `shear_strain` (engineering shear); ``gauge0`` to ``gauge3`` keep their names, and
    of another calibration than the manufacturer's its name follows (`areal_strain_er2010`). Each gives four
    features: the strain as measured, offsets removed (``...``), and apart from it ``..._tide``, ``..._trend``
    and ``..._pressure_effect``, so that ``strain - tide - trend - pressure_effect`` is what is left. Strain
    is in microstrain (extension positive), pressure in hPa.

    Parameters
    ----------
    path
        File of one series, packed or not, or the tar of a year (``B001.2009.bsm.level2.tar``).
    station
        By default the first word of the file's name (``B001.2009.xml.gauge0.txt.gz`` is B001).
    network
        SEED network code.

    Raises
    ------
    NotFoundError
        When there is no such file.
    FormatError
        When nothing in it can be read as level 2 strain, or no station is known.
    """
    source = Path(path)
    if not source.is_file():
        raise NotFoundError(f"no such file: {source}")
    frames: list[pd.DataFrame] = []
    failures: list[dict[str, Any]] = []
    try:
        for member in members(source):
            where = f"{source} ({member.name})" if member.name else str(source)
            problems = [member.damage] if member.damage else []
            frame = _series(decoded(member.content), Path(member.name or source.name).name, problems)
            frames += [] if frame is None else [frame]
            failures += [
                {"step": "read", "subject": where, "error": "FormatError", "message": problem}
                for problem in problems
            ]
    except OSError as error:
        raise FormatError(f"cannot read {source}: {error.strerror or error}") from error
    if not frames:
        reason = failures[0]["message"] if failures else "it has no line of data"
        raise FormatError(f"nothing in {source} can be read as level 2 strain: {reason}")
    name = station or source.name.split(".")[0]
    if not re.fullmatch(r"[A-Z0-9]{3,5}", name):
        raise FormatError(f"{source} does not begin with a station code; say station=...")
    # Every file of a year's tar repeats the pressure.
    whole = pd.concat(frames).drop_duplicates(["feature", "time", "value"])
    whole = whole.sort_values(["feature", "time"], kind="stable", ignore_index=True)
    return TableRead(validate(whole.assign(network=network, station=name), FEATURES), failures)


def _series(text: str, name: str, problems: list[str]) -> pd.DataFrame | None:
    """Return the features of one file, ``None`` where it has none, and what is wrong with its lines."""
    columns: dict[str, list[Any]] = {column: [] for column in _COLUMNS}
    method: list[str] = []
    what = ""
    for place, line in numbered(text):
        # The first line names the columns.
        if line.lower().startswith("strain"):
            continue
        try:
            kind, version, values = _line(line)
        except ValueError as error:
            problems.append(
                f"line {place} is no line of level 2 strain: {error}; found {line.strip()[:80]!r}"
            )
            continue
        what = what or kind
        method.append(version)
        for column, value in zip(_COLUMNS, values, strict=True):
            columns[column].append(value)
    if not what:
        if not problems:
            problems.append("it has no line of data")
        return None
    stated = re.search(r"\.xml\.(.+?)\.txt", name)
    kind, _, calibration = (stated[1] if stated else what).partition(".")
    base = _FEATURES.get(kind, kind.lower()) + (f"_{calibration.lower()}" if calibration else "")
    parts = [
        pd.DataFrame(
            {
                "time": np.array(columns["time"], "datetime64[ns]"),
                "feature": feature,
                "value": columns[column],
                "unit": unit,
                "quality": columns[quality] if quality else "",
                "method": method,
            }
        )
        for feature, column, unit, quality in (
            (base, "strain", "microstrain", "quality"),
            (f"{base}_tide", "tide", "microstrain", ""),
            (f"{base}_trend", "trend", "microstrain", ""),
            (f"{base}_pressure_effect", "pressure_effect", "microstrain", "pressure_quality"),
            ("pressure", "pressure", "hPa", "pressure_quality"),
        )
    ]
    return pd.concat(parts)


def _line(line: str) -> tuple[str, str, tuple[Any, ...]]:
    """Return what a line is of, level and version, and its values; raises ValueError for a damaged one."""
    # Columns stand apart by tabs; a missing last one leaves a tab, or nothing.
    f = [word.strip() for word in line.split("\t")] if line.count("\t") >= 12 else line.split()
    if len(f) < 13:
        raise ValueError(f"expected 13 columns or more, found {len(f)}")
    for flag in (f[6], f[10]):
        if flag not in _QUALITY:
            raise ValueError(f"quality flag {flag!r} is none of {', '.join(_QUALITY)}")
    time = time_of(f[1])
    strain = _value(f[4]) + _value(f[5])
    pressure = _value(f[13]) if len(f) > 13 and f[13] else np.nan
    tide, trend, effect = (_value(word) for word in f[7:10])
    values = (time, strain, _QUALITY[f[6]], tide, trend, effect, pressure, _QUALITY[f[10]])
    return f[0], f"level {f[11]} {f[12]}", values


def _value(text: str) -> float:
    value = number(text)
    return np.nan if abs(value) >= NULL else value
