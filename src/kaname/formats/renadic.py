"""RENADIC: accelerograms of the University of Chile's network (``.v1``), three components per file.

The layout of CSMIP volume 1 (`kaname.formats.csmip_v1`), pairs of time [s] and acceleration [g/10]. Known
from files of 2009 and 2010 that the network handed out; no description is published. What they state of the
earthquake is no use: places are 0, and the origin is the trigger time less the memory of the instrument, so
none of it is taken. Neither is a station stated: the serial number of its instrument, which stands behind the
station's name, serves as code. Instruments without a set clock say 1980-01-01; others may run hours off.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np

from kaname.formats.accelerogram_text import moment, number
from kaname.formats.accelerograms import AccelerogramRead, AccelerogramReader, RecordHeader
from kaname.formats.contract import register
from kaname.formats.csmip import text_header
from kaname.formats.csmip_v1 import begins_volume_1, read_volume_1

_CLOCK_NOT_SET = np.datetime64("1980-01-02", "ns")


@register
class RenadicReader(AccelerogramReader):
    """Reader of RENADIC's files."""

    name = "renadic"

    def sniff(self, head: bytes, path: Path) -> bool:
        """Look for the title of volume 1 and the name of the network."""
        return begins_volume_1(head) and b"RENADIC" in head[:1000]

    def parse(self, content: bytes, path: Path) -> AccelerogramRead:
        """Parse the components; each begins with its own title."""
        return read_volume_1(content, path, "RENADIC file", _header)


def _header(text: list[str], reals: np.ndarray) -> RecordHeader:
    h = text_header(text, reals)
    named = re.match(r"\s*(.*?)\s+S/N\s*(\d+)\s*$", text[5])
    place = re.search(r"([\d.]+)\s*([NS])\s+([\d.]+)\s*([EW])\s*(.*?)\s*S/N", text[4])
    size = re.search(r"\b(MW|ML|MS)\s*=\s*(\d+(?:\.\d+)?)", text[8])
    clock = re.search(
        r"TRIGGER TIME:\s*(\d\d?)/(\d\d?)/(\d{4})\s+(\d\d?):(\d\d):(\d\d(?:\.\d+)?)\s+([A-Z]{2,4})", text[3]
    )
    start: np.datetime64 = np.datetime64("NaT", "ns")
    if clock:
        month, day, year, hour, minute = (int(clock[k]) for k in range(1, 6))
        start = moment(year, month, day, hour, minute, float(clock[6]), clock[7])
    latitude, longitude = (number(place[1]), number(place[3])) if place else (np.nan, np.nan)
    known = place is not None and (latitude, longitude) != (0.0, 0.0)
    magnitude = number(size[2]) if size and number(size[2]) > 0 else np.nan
    name = named[1] if named else text[5].strip()
    word = re.sub(r"\s*\(STA CHN.*", "", h.component).strip()
    return replace(
        h,
        format="renadic",
        network="",
        station=named[2] if named and int(named[2]) else _code(name),
        location="",
        station_name=name,
        component=word,
        azimuth_deg={"NS": 0.0, "EW": 90.0}.get(word, np.nan),
        vertical=word in ("V", "Z", "UD"),
        start=start,
        start_uncertainty_s=np.nan if start < _CLOCK_NOT_SET else 0.0,
        latitude=(-latitude if place[2] == "S" else latitude) if place and known else np.nan,
        longitude=(-longitude if place[4] == "W" else longitude) if place and known else np.nan,
        origin_time=np.datetime64("NaT", "ns"),
        event_latitude=np.nan,
        event_longitude=np.nan,
        event_depth_km=np.nan,
        magnitude=magnitude,
        magnitude_type={"MW": "Mw", "ML": "ML", "MS": "Ms"}[size[1]] if size and magnitude > 0 else "",
        instrument=place[5] if place else "",
    )


def _code(name: str) -> str:
    """Letters and digits of a station's name, for a file that has no number."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_").upper()
