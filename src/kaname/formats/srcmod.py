"""SRCMOD finite-source models (``.fsp``): where and how much a fault slipped, in segments of subfaults.

Format: http://equake-rc.info/srcmod, "FSP format". Comment lines begin with ``%`` and carry the header; a
line of the table begins with a number. Of each segment the file states strike, dip, length, width and the
number of subfaults, and for each subfault the **top centre** (latitude, longitude, depth), slip and, where
the columns are there, rake, rise time and rupture time. What is not known stands as -99 or -999. Many files
have further columns (slip in time windows); they are counted and left aside.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kaname.core.errors import FormatError, NotFoundError
from kaname.core.tables import Column, Schema, table

_NUMBER = r"(-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)"
_UNKNOWN = (-99.0, -999.0)
_GEOMETRY = (("strike", "STRIKE"), ("strike", "STRK"), ("dip", "DIP"), ("dx", "Dx"), ("dz", "Dz"))
_NO_DAY = np.datetime64("NaT", "D")
_COLUMNS = {
    "LAT": "latitude",
    "LON": "longitude",
    "Z": "depth_km",
    "SLIP": "slip_m",
    "RAKE": "rake_deg",
    "RISE": "rise_time_s",
    "TRUP": "rupture_time_s",
}

SUBFAULTS = Schema(
    "subfaults",
    "Rectangles of a finite-source model, each by its top centre.",
    (
        Column("segment", "int", "segment the subfault is of, from 1", required=True, low=1),
        Column("latitude", "float", "top centre", "degree", required=True, low=-90, high=90),
        Column("longitude", "float", "top centre", "degree", required=True, low=-180, high=360),
        Column("depth_km", "float", "top centre, positive down", "km", required=True, low=-10, high=800),
        Column("strike_deg", "float", "strike of the segment", "degree", low=-360, high=360),
        Column("dip_deg", "float", "dip of the segment", "degree", low=0, high=90),
        Column("length_km", "float", "along the strike", "km", low=0),
        Column("width_km", "float", "down the dip", "km", low=0),
        Column("slip_m", "float", "slip", "m", required=True),
        Column("rake_deg", "float", "rake of the slip", "degree", low=-360, high=360),
        Column("rise_time_s", "float", "how long it slipped", "s", low=0),
        Column("rupture_time_s", "float", "when it began to slip, after the origin", "s"),
    ),
)


@dataclass
class FiniteSource:
    """A finite-source model."""

    tag: str = ""
    event: str = ""
    day: np.datetime64 = _NO_DAY
    """Day of the earthquake; SRCMOD states no time of day."""
    hypocentre: tuple[float, float, float] = (math.nan, math.nan, math.nan)
    """Latitude, longitude [degree], depth [km]."""
    magnitude: float = math.nan
    moment_nm: float = math.nan
    subfaults: pd.DataFrame = field(default_factory=lambda: table([], SUBFAULTS))
    failures: list[dict[str, Any]] = field(default_factory=list)
    """Rows of `kaname.core.tables.FAILURES`."""

    def corners(self, *, least_slip_share: float = 0.0) -> NDArray[np.float64]:
        """Return the corners of the subfaults, ``(n, 4, 3)``: latitude, longitude, depth [km].

        From the beginning of the top edge along the strike, down the dip and back, as
        `kaname.earth.ruptures.Rupture` takes them.

        Parameters
        ----------
        least_slip_share
            Leave out subfaults that slipped less than this share of the largest slip: models have wide rims
            that hardly slipped, and distances to a rupture are not meant to be distances to those.
        """
        from pyproj import Geod

        f = self.subfaults
        f = f[f["slip_m"] >= least_slip_share * f["slip_m"].max()]
        geod = Geod(ellps="WGS84")
        strike, dip = f["strike_deg"].to_numpy(), np.radians(f["dip_deg"].to_numpy())
        lat, lon, depth = (f[c].to_numpy(float) for c in ("latitude", "longitude", "depth_km"))
        half = 500.0 * f["length_km"].to_numpy()
        across = 1000.0 * f["width_km"].to_numpy() * np.cos(dip)
        below = depth + f["width_km"].to_numpy() * np.sin(dip)
        out = np.empty((len(f), 4, 3))
        for corner, (way, deep) in enumerate(((180.0, False), (0.0, False), (0.0, True), (180.0, True))):
            x, y, _ = geod.fwd(lon, lat, strike + way, half)
            if deep:
                x, y, _ = geod.fwd(x, y, strike + 90.0, across)
            out[:, corner] = np.column_stack([y, x, below if deep else depth])
        return out


def read_srcmod(path: str | Path) -> FiniteSource:
    """Read a finite-source model.

    Raises
    ------
    NotFoundError
        When there is no such file.
    FormatError
        When it is no SRCMOD file, or states no subfault, or not how large they are.
    """
    source = Path(path)
    if not source.is_file():
        raise NotFoundError(f"no such file: {source}")
    try:
        lines = source.read_text(encoding="latin-1").splitlines()
    except OSError as error:
        raise FormatError(f"cannot read {source}: {error.strerror or error}") from error
    head = "\n".join(line for line in lines if line.lstrip().startswith("%"))
    if "EventTAG" not in head and "FINITE-SOURCE" not in head:
        raise FormatError(f"{source} is no SRCMOD file: no line names it a finite-source rupture model")
    out = FiniteSource(
        tag=_word(r"EventTAG\s*:\s*(\S+)", head),
        event=_word(r"Event\s*:\s*([^\t\n]+?)(?:\s{2,}|\t)", head),
        day=_day(head),
        hypocentre=(_stated("LAT", head), _stated("LON", head), _stated("DEP", head)),
        magnitude=_stated("Mw", head),
        moment_nm=_stated("Mo", head),
    )
    rows: list[dict[str, Any]] = []
    segment, columns = _Segment(head), [""]
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text.startswith("%"):
            found = re.match(r"%\s*SEGMENT\s*#\s*(\d+)", text, re.IGNORECASE)
            if found:
                segment = segment.next(int(found[1]))
            segment.update(text)
            if re.match(r"%\s*LAT\s+LON\b", text, re.IGNORECASE):
                columns = [c.upper().partition("=")[0] for c in text.lstrip("% ").split()]
            continue
        if not text:
            continue
        row = _row(text, columns, segment)
        if row is None:
            out.failures.append(
                {
                    "step": "read",
                    "subject": str(source),
                    "error": "FormatError",
                    "message": f"line {number}: expected {', '.join(columns[:6])}, found {text[:60]!r}",
                }
            )
        else:
            rows.append(row)
    if not rows:
        raise FormatError(f"{source} states no subfault that can be read")
    if not all(
        np.isfinite([r["length_km"], r["width_km"], r["strike_deg"], r["dip_deg"]]).all() for r in rows
    ):
        raise FormatError(f"{source} does not state strike, dip, Dx and Dz of its subfaults")
    stated = re.search(r"Nsbfs\s*=\s*(\d+)", head)
    if stated and len(re.findall(r"Nsbfs\s*=", head)) == 1 and int(stated[1]) != len(rows):
        out.failures.append(
            {
                "step": "read",
                "subject": str(source),
                "error": "FormatError",
                "message": f"{int(stated[1])} subfaults stated, {len(rows)} found",
            }
        )
    out.subfaults = table(rows, SUBFAULTS)
    return out


class _Segment:
    """What the header says of the segment whose subfaults follow; the general header is the first one's."""

    def __init__(self, head: str, number: int = 1) -> None:
        self.number = number
        self.head = head
        self.strike, self.dip = _stated("STRK", head), _stated("DIP", head)
        self.rake = _stated("RAKE", head)
        self.dx, self.dz = _stated("Dx", head), _stated("Dz", head)

    def next(self, number: int) -> _Segment:
        return _Segment(self.head, number)

    def update(self, line: str) -> None:
        """Take what a line within the segment states in place of the general header."""
        for name, key in _GEOMETRY:
            value = _stated(key, line)
            if math.isfinite(value):
                setattr(self, name, value)


def _row(text: str, columns: list[str], segment: _Segment) -> dict[str, Any] | None:
    # Some files separate a value that is not to be trusted by a letter: "0.0002 x 136.9".
    values = [_float(word) for word in text.split() if not word.isalpha()]
    if len(values) < 6 or not columns[0]:
        return None
    named = dict(zip(columns, values))
    if not all(math.isfinite(named.get(c, math.nan)) for c in ("LAT", "LON", "Z", "SLIP")):
        return None
    row = {name: named.get(column, math.nan) for column, name in _COLUMNS.items()}
    for name in ("rake_deg", "rise_time_s", "rupture_time_s"):
        if row[name] in _UNKNOWN:
            row[name] = math.nan
    if math.isnan(row["rake_deg"]):
        row["rake_deg"] = segment.rake
    return row | {
        "segment": segment.number,
        "strike_deg": segment.strike,
        "dip_deg": segment.dip,
        "length_km": segment.dx,
        "width_km": segment.dz,
    }


def _float(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _stated(key: str, text: str) -> float:
    found = re.search(rf"\b{key}\s*=\s*{_NUMBER}", text)
    value = float(found[1]) if found else math.nan
    return math.nan if value in _UNKNOWN else value


def _word(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1].strip() if found else ""


def _day(head: str) -> np.datetime64:
    found = re.search(r"Event\s*:.*?(\d\d?)/(\d\d?)/(\d{4})", head)
    try:
        return np.datetime64(f"{found[3]}-{int(found[1]):02d}-{int(found[2]):02d}", "D") if found else _NO_DAY
    except ValueError:
        return _NO_DAY
