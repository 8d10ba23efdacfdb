"""Borehole strainmeters: level 2 text of the Plate Boundary Observatory (EarthScope), five-minute values.

The layout, with its source, stands in ``docs/formats-sensors.md``.
"""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from kaname.core.errors import FormatError
from kaname.core.tables import FEATURES
from kaname.formats.tabular import TableRead, numbered, read_rows, text_of

NULL = 999999.0
"""What the source writes where it has no value."""
_QUALITY = {"g": "good", "b": "bad", "m": "missing", "i": "interpolated"}
_FEATURES = {"Eee+Enn": "areal_strain", "Eee-Enn": "differential_strain", "2Ene": "shear_strain"}


def read_strain(path: str | PathLike[str], *, station: str | None = None, network: str = "PB") -> TableRead:
    """Read level 2 strain into the `features` table: strain, its corrections, and the air pressure.

    What the source calls ``Eee+Enn``, ``Eee-Enn`` and ``2Ene`` are `areal_strain`, `differential_strain`
    (east less north) and `shear_strain` (engineering shear); ``gauge0`` to ``gauge3`` keep their names. Each
    gives four features: the strain as measured, offsets removed (``...``), and apart from it ``..._tide``,
    ``..._trend`` and ``..._pressure_effect``, so that ``strain - tide - trend - pressure_effect`` is what is
    left. Strain is in microstrain (extension positive), pressure in hPa.

    Parameters
    ----------
    path
        File, packed or not.
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
    text, damage = text_of(path)
    name = station or Path(path).name.split(".")[0]
    if not re.fullmatch(r"[A-Z0-9]{3,5}", name):
        raise FormatError(f"{path} does not begin with a station code; say station=...")

    def parse(line: str) -> list[dict[str, Any]]:
        f = line.split()
        if len(f) < 13:
            raise ValueError(f"expected 13 columns or more, found {len(f)}")
        time = np.datetime64(f[1], "ns")
        base = _FEATURES.get(f[0].split(".")[0], f[0])
        strain, offset, quality = _value(f[4]), _value(f[5]), _QUALITY[f[6]]
        common = {"network": network, "station": name, "time": time, "method": f"level {f[11]} {f[12]}"}
        parts = [
            (base, strain + offset, "microstrain", quality),
            (f"{base}_tide", _value(f[7]), "microstrain", ""),
            (f"{base}_trend", _value(f[8]), "microstrain", ""),
            (f"{base}_pressure_effect", _value(f[9]), "microstrain", _QUALITY[f[10]]),
        ]
        if len(f) > 13:
            parts.append(("pressure", _value(f[13]), "hPa", _QUALITY[f[10]]))
        return [
            {**common, "feature": feature, "value": value, "unit": unit, "quality": flag}
            for feature, value, unit, flag in parts
        ]

    # A first line of column names has no time in its second column.
    lines = [(n, line) for n, line in numbered(text) if not line.lower().startswith("strain")]
    read = read_rows(path, lines, _named(parse), FEATURES, what="level 2 strain", damage=damage)
    read.table = read.table.sort_values(["feature", "time"], kind="stable", ignore_index=True)
    return read


def _value(text: str) -> float:
    value = float(text)
    return np.nan if abs(value) >= NULL else value


def _named(parse: Any) -> Any:
    """Turn an unknown quality flag into a damaged line."""

    def checked(line: str) -> Any:
        try:
            return parse(line)
        except KeyError as error:
            raise ValueError(f"quality flag {error} is none of {', '.join(_QUALITY)}") from error

    return checked
