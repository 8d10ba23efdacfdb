"""NSMN: accelerograms of Turkey's National Strong Motion Network (AFAD), three components per file.

A title, 16 lines of text, most of them ``NAME : value``, a line with the names of the columns, then rows of
acceleration [gal]. Known from files that the network hands out; no description is published. The record's
time has its day first, the earthquake's its day or its year; both state their zone, which is GMT.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kaname.core.errors import FormatError
from kaname.formats.accelerogram_text import moment, number, whole
from kaname.formats.accelerograms import AccelerogramRead, AccelerogramReader, RecordHeader
from kaname.formats.contract import register

_TITLE = re.compile(rb"^\s*STRONG GROUND MOTION RECORDS OF T\S+RK", re.IGNORECASE)
_LINE = re.compile(r"^\s*([A-Z][A-Z ]*?)\s*(?:\(\w+\))?\s*:\s*(.*?)\s*$")
_COLUMNS = re.compile(rb"^\s*(?:[NSEWUD]-[NSEWUD]\s+){2}[NSEWUD]-[NSEWUD]\s*$")
_MOST_HEADER_LINES = 40
_AZIMUTHS = {"N-S": 0.0, "E-W": 90.0, "U-D": np.nan}


@register
class NsmnReader(AccelerogramReader):
    """Reader of the text files of Turkey's strong-motion network."""

    name = "nsmn"

    def sniff(self, head: bytes, path: Path) -> bool:
        """Look for the title."""
        return bool(_TITLE.match(head[:200]))

    def parse(self, content: bytes, path: Path) -> AccelerogramRead:
        """Parse the components of a file, which stand side by side."""
        lines = content.replace(b"\r", b"").split(b"\n")
        at = next((k for k, line in enumerate(lines[:_MOST_HEADER_LINES]) if _COLUMNS.match(line)), None)
        if at is None:
            raise FormatError(f"{path}: no line names its columns, such as N-S, E-W and U-D")
        stated = {
            found[1]: found[2]
            for line in lines[:at]
            if (found := _LINE.match(line.decode("latin-1").replace("\t", " ")))
        }
        names = lines[at].decode().split()
        # What follows the last end of a line is nothing, or a row that breaks off.
        rows = _rows([line for line in lines[at + 1 : -1] if line.strip()], len(names))
        out = AccelerogramRead()
        for k, name in enumerate(names):
            if name not in _AZIMUTHS:
                out.fail(path, f"left out {name}: expected {', '.join(_AZIMUTHS)}")
                continue
            out.add(path, _header(stated, name), rows[:, k])
        return out


def _rows(lines: list[bytes], n: int) -> NDArray[np.float64]:
    """Rows of numbers; NaN where one cannot be read."""
    fields = [line.split() for line in lines]
    if all(len(row) == n for row in fields):
        try:
            values = np.array(fields, "S").reshape(-1, n).astype(np.float64)
        except ValueError:
            values = np.array([[number(f) for f in row] for row in fields])
    else:
        values = np.array(
            [[number(f) for f in row] if len(row) == n else [np.nan] * n for row in fields], np.float64
        )
    return np.where(np.abs(values) < 1e30, values, np.nan)


def _header(stated: dict[str, str], name: str) -> RecordHeader:
    latitude, longitude = _place(stated.get("STATION COORDINATES", ""))
    event_latitude, event_longitude = _place(stated.get("EPICENTER COORDINATES", ""))
    size = re.match(r"(\d+(?:\.\d+)?)\s*(M\w)?", stated.get("EARTHQUAKE MAGNITUDE", ""), re.IGNORECASE)
    peak = re.search(re.escape(f"({name})") + r"\s*(-?\d+(?:\.\d+)?)", stated.get("RAW PGA VALUES", ""))
    interval = number(stated.get("SAMPLING INTERVAL", ""))
    return RecordHeader(
        format="nsmn",
        stage="uncorrected",
        network="TK",
        station=stated.get("STATION ID", ""),
        station_name=stated.get("PLACE", ""),
        component=name,
        azimuth_deg=_AZIMUTHS[name],
        vertical=name == "U-D",
        start=_time(stated.get("RECORD TIME", "")),
        sampling_rate=round(1.0 / interval, 6) if interval > 0 else np.nan,
        n_sample=whole(number(stated.get("NUMBER OF DATA", ""))),
        latitude=latitude,
        longitude=longitude,
        elevation_m=number(stated.get("STATION ALTITUDE", "")),
        origin_time=_time(stated.get("EARTHQUAKE DATE", "")),
        event_latitude=event_latitude,
        event_longitude=event_longitude,
        event_depth_km=number(stated.get("EARTHQUAKE DEPTH", "")),
        magnitude=number(size[1]) if size else np.nan,
        magnitude_type=size[2][0].upper() + size[2][1] if size and size[2] else "",
        instrument=stated.get("RECORDER TYPE", ""),
        peak=peak[1] if peak else "",
    )


def _time(text: str) -> np.datetime64:
    """Time with the day or the year first; NaT where no zone is stated."""
    found = re.match(
        r"(\d{1,4})[/.](\d{1,2})[/.](\d{1,4})\s+(\d\d?):(\d\d):(\d\d(?:\.\d+)?)\s*\(?(GMT|UTC)\b", text
    )
    if not found:
        return np.datetime64("NaT", "ns")
    a, month, b = (int(found[k]) for k in (1, 2, 3))
    year, day = (a, b) if a > 31 else (b, a)
    return moment(year, month, day, int(found[4]), int(found[5]), float(found[6]), found[7])


def _place(text: str) -> tuple[float, float]:
    """Latitude and longitude of ``38.99478N-29.40040E``, whose hyphen is no sign."""
    found = re.match(r"([\d.]+)\s*([NS])\s*-\s*([\d.]+)\s*([EW])", text)
    if not found:
        return np.nan, np.nan
    latitude, longitude = number(found[1]), number(found[3])
    return -latitude if found[2] == "S" else latitude, -longitude if found[4] == "W" else longitude
