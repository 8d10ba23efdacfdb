"""DYNA (``.ASC``), the text format of the Engineering Strong-Motion database and of ITACA: one component.

Format: https://esm-db.eu, "ESM web-service, dyna-convert", header DYNA 1.2. 64 lines ``KEY: value``, then
one sample per line in the unit that ``UNITS`` states. Only files of acceleration are records. Times are
UTC.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from kaname.core.errors import FormatError
from kaname.core.shaking import GRAVITY_CM_S2
from kaname.formats.accelerogram_text import direction, moment, number, whole
from kaname.formats.accelerograms import AccelerogramRead, AccelerogramReader, RecordHeader
from kaname.formats.contract import register

_MOST_HEADER_LINES = 90
_KEY = re.compile(rb"^([A-Z0-9_/^]+):[ \t]?(.*)$")
_CM_S2 = {"cm/s^2": 1.0, "cm/s/s": 1.0, "gal": 1.0, "m/s^2": 100.0, "g": GRAVITY_CM_S2}


@register
class EsmReader(AccelerogramReader):
    """Reader of DYNA files."""

    name = "esm"

    def sniff(self, head: bytes, path: Path) -> bool:
        """Look for the keys of the first three lines."""
        return re.match(rb"EVENT_NAME:.*\r?\nEVENT_ID:.*\r?\nEVENT_DATE_YYYYMMDD:", head) is not None

    def parse(self, content: bytes, path: Path) -> AccelerogramRead:
        """Parse the one component of a file."""
        lines = content.replace(b"\r", b"").split(b"\n")
        stated: dict[str, str] = {}
        at = 0
        while at < min(len(lines), _MOST_HEADER_LINES) and (found := _KEY.match(lines[at])):
            stated[found[1].decode()] = found[2].decode("utf-8", "replace").strip()
            at += 1
        kind = stated.get("DATA_TYPE", "")
        if kind != "ACCELERATION":
            raise FormatError(
                f"{path} is no DYNA accelerogram: its DATA_TYPE is {kind!r}, expected ACCELERATION"
            )
        factor = _CM_S2.get(stated.get("UNITS", "").lower())
        if factor is None:
            raise FormatError(
                f"{path} states UNITS {stated.get('UNITS')!r}; expected one of {', '.join(_CM_S2)}"
            )
        body = lines[at:]
        if body and body[-1]:
            body = body[:-1]  # the last line is not ended: digits may be missing
        while body and not body[-1].strip():
            body.pop()
        try:
            values = np.array(body, "S").astype(np.float64) if body else np.empty(0)
        except ValueError:
            values = np.array([number(line) for line in body], np.float64)
        values = np.where(np.abs(values) < 1e30, values, np.nan)
        out = AccelerogramRead()
        header = _header(stated)
        header = replace(header, peak_factor=factor)
        out.add(path, header, values if factor == 1.0 else values * factor)
        return out


def _header(stated: dict[str, str]) -> RecordHeader:
    def text(key: str) -> str:
        return stated.get(key, "")

    def value(key: str, low: float = -math.inf, high: float = math.inf) -> float:
        found = number(stated.get(key, ""))
        return found if low <= found <= high else math.nan

    azimuth, vertical = direction(text("STREAM")[-1:])
    magnitude, kind = next(
        ((value(k), n) for k, n in (("MAGNITUDE_W", "Mw"), ("MAGNITUDE_L", "ML")) if math.isfinite(value(k))),
        (math.nan, ""),
    )
    interval = value("SAMPLING_INTERVAL_S", 1e-5, 2)
    corrected = bool(re.search(r"_FREQUENCY_HZ", " ".join(k for k, v in stated.items() if "CUT" in k and v)))
    peak = text("PGA_CM/S^2")
    return RecordHeader(
        format="esm",
        stage="corrected" if corrected else "uncorrected",
        network=text("NETWORK"),
        station=text("STATION_CODE"),
        location=text("LOCATION"),
        channel=text("STREAM"),
        station_name=text("STATION_NAME"),
        component=text("STREAM")[-1:],
        azimuth_deg=azimuth,
        vertical=vertical,
        start=_time(text("DATE_TIME_FIRST_SAMPLE_YYYYMMDD_HHMMSS")),
        sampling_rate=round(1.0 / interval, 6),
        n_sample=whole(value("NDATA")),
        latitude=value("STATION_LATITUDE_DEGREE", -90, 90),
        longitude=value("STATION_LONGITUDE_DEGREE", -180, 360),
        elevation_m=value("STATION_ELEVATION_M"),
        sensor_depth_m=value("SENSOR_DEPTH_M"),
        vs30_m_s=value("VS30_M/S", 1),
        site=text("SITE_CLASSIFICATION_EC8"),
        event_name=text("EVENT_NAME"),
        event_id=text("EVENT_ID"),
        origin_time=_time(text("EVENT_DATE_YYYYMMDD") + "_" + text("EVENT_TIME_HHMMSS")),
        event_latitude=value("EVENT_LATITUDE_DEGREE", -90, 90),
        event_longitude=value("EVENT_LONGITUDE_DEGREE", -180, 360),
        event_depth_km=value("EVENT_DEPTH_KM", -10, 800),
        magnitude=magnitude,
        magnitude_type=kind,
        instrument=text("INSTRUMENT"),
        natural_frequency_hz=value("INSTRUMENTAL_FREQUENCY_HZ"),
        damping=value("INSTRUMENTAL_DAMPING"),
        corner_low_hz=value("LOW_CUT_FREQUENCY_HZ", 1e-6),
        corner_high_hz=value("HIGH_CUT_FREQUENCY_HZ", 1e-6),
        peak=peak if math.isfinite(number(peak)) else "",
        late_trigger=text("LATE/NORMAL_TRIGGERED") == "LT",
        licence=text("DATA_LICENSE"),
        comments=text("DATA_CITATION"),
    )


def _time(text: str) -> np.datetime64:
    found = re.fullmatch(r"(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d(?:\.\d+)?)", text)
    if not found:
        return np.datetime64("NaT", "ns")
    year, month, day, hour, minute, second = map(float, found.groups())
    return moment(year, month, day, hour, minute, second)
