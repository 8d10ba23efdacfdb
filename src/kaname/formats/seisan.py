"""SEISAN station lists, ``STATION0.HYP``.

The station lines stand between the first and the second blank line. SEISAN reads them as Fortran
``(1X,A5,I2,F5.3,A1,I3,F5.3,A1,F4.0)``, and so does this: a code of four characters stands in columns 3 to
6, of five in 2 to 6; degrees and minutes, whose decimal point is implied before the last three digits
unless it is written (``4318960S`` is 43 degrees 18.960 minutes south, ``4316.85S`` is 16.85 minutes);
elevation in metres. A ``-`` in column 1 makes the elevation negative, where four digits leave no room for
the sign (ocean-bottom stations below 999 m). A code that begins with a sign that no code has (``.WV01``) is
a station commented out.
"""

from __future__ import annotations

from typing import Any


def station_rows(text: str) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    """Return rows of the stations table, and ``(line number, reason)`` of each line refused.

    SEISAN knows no networks, locations or epochs, so those stay empty. Repeated stations are all returned.
    """
    rows: list[dict[str, Any]] = []
    refused: list[tuple[int, str]] = []
    inside = False
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            if rows:
                break
            inside = True
            continue
        if not inside or not line[1:6].strip()[:1].isalnum():
            continue
        try:
            rows.append(_row(line))
        except ValueError as error:
            refused.append((number, f"{line.rstrip()!r} is no station line of SEISAN: {error}"))
    return rows, refused


def _row(line: str) -> dict[str, Any]:
    elevation = line[23:27].strip()
    return {
        "station": line[1:6].strip(),
        "network": "",
        "location": "",
        "latitude": _degrees(line[6:8], line[8:13], line[13:14], "NS"),
        "longitude": _degrees(line[14:17], line[17:22], line[22:23], "EW"),
        "elevation_m": (-1.0 if line[0] == "-" else 1.0) * float(elevation) if elevation else float("nan"),
        "sensor_depth_m": 0.0,
    }


def _degrees(degrees: str, minutes: str, hemisphere: str, hemispheres: str) -> float:
    if hemisphere not in hemispheres or not hemisphere:
        raise ValueError(f"expected {' or '.join(hemispheres)}, found {hemisphere!r}")
    value = float(minutes) if "." in minutes else float(minutes) / 1000
    if not 0 <= value < 60:
        raise ValueError(f"{minutes!r} is not between 0 and 60 minutes")
    return (int(degrees) + value / 60) * (-1.0 if hemisphere in "SW" else 1.0)
