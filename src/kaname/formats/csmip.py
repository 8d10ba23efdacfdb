"""CSMIP volume 2 (``.V2``), the text format of the California Geological Survey: corrected accelerograms.

Format: Shakal & Huang (1985), Standard Tape Format for CSMIP Strong-Motion Data Tapes, Office of Strong
Motion Studies Report OSMS 85-03. For each component 25 lines of text, 100 integers (16 of 5 columns), 100
reals (8 of 10 columns), then acceleration, velocity and displacement, each after a line that states how
many samples there are, their interval, unit and format. Written since the 1970s by CDMG and CGS. Times are
local or UTC, as the line says; years have two digits.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from kaname.core.shaking import GRAVITY_CM_S2
from kaname.formats.accelerogram_text import (
    columns,
    degrees,
    direction,
    fixed_width,
    full_year,
    moment,
    number,
)
from kaname.formats.accelerograms import AccelerogramRead, ComponentsReader, RecordHeader
from kaname.formats.contract import register

_TITLE = re.compile(rb"^\s*corrected accelerogram\b", re.IGNORECASE)
_SECOND = re.compile(rb"^\s*uncorrected accelerogram data\b", re.IGNORECASE)
SECTION = re.compile(
    r"^\s*(\d{1,8})\s+points of (accel|veloc|displ)\w*\s+data equally spaced at\s+([\d.]+)\s+sec\.?,?\s*"
    r"(?:\(units:|in)\s*([^)\s(]+?)\.?\)?\s*(?:\((\d*)f(\d+)[\d.]*\))?\s*$",
    re.IGNORECASE,
)
"""Line before the samples: their number, quantity, interval, unit and, where it is stated, format."""
_TEXT_LINES, _INTEGER_LINES, _REAL_LINES = 25, 7, 13
_CM_S2 = {"cm/sec/sec": 1.0, "cm/sec2": 1.0, "cm/s/s": 1.0, "cm/s2": 1.0, "gal": 1.0, "g": GRAVITY_CM_S2}
_NETWORKS = {"CDMG": "CE", "CGS": "CE", "CSMIP": "CE", "USGS": "NP"}
_CLOCK = r"(\d\d?)/(\d\d?)/(\d\d),\s*(\d\d?):(\d\d):(\d\d?(?:\.\d+)?)\s*([A-Z]{2,4})"


@register
class CsmipReader(ComponentsReader):
    """Reader of CSMIP volume 2 files."""

    name = "csmip"
    what = "CSMIP volume 2 file"
    first, second = _TITLE, _SECOND

    def component(self, lines: list[bytes], path: Path, out: AccelerogramRead, unended: bool) -> None:
        """Parse one; see `ComponentsReader`."""
        text = [line.decode("latin-1") for line in lines[:_TEXT_LINES]]
        if len(text) < _TEXT_LINES:
            out.fail(path, "truncated in the header of a component")
            return
        after = _TEXT_LINES + _INTEGER_LINES
        reals, _ = fixed_width(lines[after : after + _REAL_LINES], 10, 8, 100)
        header = _header(text, reals)
        sections = []
        for k, line in enumerate(lines):
            found = SECTION.match(line.decode("latin-1")) if k >= _TEXT_LINES else None
            if found:
                sections.append((k, found))
        acceleration = next(((k, s) for k, s in sections if s[2].lower() == "accel"), None)
        if acceleration is None:
            out.fail(
                path,
                f"left out {header.component}: no line states how many samples of acceleration there are",
            )
            return
        at, section = acceleration
        count, interval, unit = int(section[1]), number(section[3]), section[4].lower()
        factor = _CM_S2.get(unit)
        if factor is None or not 0 < interval <= 2:
            out.fail(
                path, f"left out {header.component}: its unit is {unit!r} and its interval {section[3]} s"
            )
            return
        per_line, width = int(section[5] or 8) or 8, int(section[6] or 10) or 10
        values = columns(lines, at + 1, width=width, per_line=per_line, count=count, unended=unended)
        header = replace(header, sampling_rate=round(1.0 / interval, 6), n_sample=count, peak_factor=factor)
        out.add(path, header, values if factor == 1.0 else values * factor)


def text_header(text: list[str], reals: np.ndarray) -> RecordHeader:
    """Return what the lines of text say from the title of the uncorrected data on, in volume 1 and 2 alike.

    Parameters
    ----------
    text
        At least nine lines.
    reals
        The first reals of the header, the instrument's period [s] and damping.
    """
    agency = re.search(r"\b(CDMG|CGS|CSMIP|USGS)\b", text[0] + " " + text[5])
    station = re.search(
        r"STATION (?:NO|ID)\.\s*(\S+)\s+([\d.]+[NS])\s*,\s*([\d.]+[EW])\s*(.*?)\s*S/N",
        text[4],
        re.IGNORECASE,
    )
    # Records of other networks have their codes where the film's number stands, as 15481673.CI.WLT.--.HN.
    codes = re.match(r"\s*\d+\.([A-Z]\w)\.(\w+)\.([\w-]{2})\.\w\w\s", text[3])
    component = re.search(r"CHAN\s*\d+\s*:\s*(.*?)\s*$", text[6], re.IGNORECASE)
    word = component[1] if component else ""
    azimuth, vertical = direction(word)
    clock = re.search(r"(?:trigger|start) time:\s*" + _CLOCK, text[3], re.IGNORECASE)
    origin = re.search(r"\(\s*origin[^:]*:\s*" + _CLOCK, text[2], re.IGNORECASE)
    place = re.search(
        r"HYPOCENTER[^:]*:\s*([\d.]+[NS])\s*,\s*([\d.]+[EW]),?\s*(?:H\s*=\s*([\d.]+))?",
        text[8],
        re.IGNORECASE,
    )
    size = re.search(r"\b(MW|ML|MS|MB)\s*[=:]\s*(\d+(?:\.\d+)?)", text[8], re.IGNORECASE)
    network = _NETWORKS.get(agency[1].upper(), "") if agency else ""
    return RecordHeader(
        format="csmip",
        network=codes[1] if codes else network,
        station=codes[2] if codes else station[1] if station else "",
        location=codes[3].replace("-", "") if codes else "",
        station_name=re.sub(r"\s{2,}.*", "", text[5].strip()),
        component=word,
        azimuth_deg=azimuth,
        vertical=vertical,
        start=_time(clock),
        latitude=degrees(station[2].upper()) if station else np.nan,
        longitude=degrees(station[3].upper()) if station else np.nan,
        event_name="" if re.match("re?co?rd ", text[1], re.I) else re.sub(r"\s+", " ", text[1]).strip(),
        origin_time=_time(origin),
        event_latitude=degrees(place[1].upper()) if place else np.nan,
        event_longitude=degrees(place[2].upper()) if place else np.nan,
        event_depth_km=float(place[3]) if place and place[3] else np.nan,
        magnitude=number(size[2]) if size else np.nan,
        magnitude_type={"MW": "Mw", "ML": "ML", "MS": "Ms", "MB": "mb"}[size[1].upper()] if size else "",
        instrument=station[4] if station else "",
        natural_frequency_hz=1.0 / reals[0] if len(reals) and reals[0] > 0 else np.nan,
        damping=float(reals[1]) if len(reals) > 1 and reals[1] > 0 else np.nan,
        comments=" ".join(text[k].strip() for k in (7, 8)),
    )


def _header(text: list[str], reals: np.ndarray) -> RecordHeader:
    below = "\n".join(text[10:])  # these lines are not always the same ones
    peak = re.search(r"PEAK ACCELERATION\s*=\s*(-?[\d.]+)", below, re.IGNORECASE)
    band = re.search(
        r"FILTERED WITH (?:RAMPS|3 dB pts)\s*AT\s*([\d.]+)(?:\s*-\s*([\d.]+))?\s*AND\s*([\d.]+)",
        below,
        re.IGNORECASE,
    )
    return replace(
        text_header(text[1:], reals),
        stage="corrected",
        # Of a ramp the end in the pass band is the corner.
        corner_low_hz=number(band[2] or band[1]) if band else np.nan,
        corner_high_hz=number(band[3]) if band else np.nan,
        peak=peak[1] if peak and math.isfinite(number(peak[1])) else "",
    )


def _time(found: re.Match[str] | None) -> np.datetime64:
    if found is None:
        return np.datetime64("NaT", "ns")
    month, day, year, hour, minute = (int(found[k]) for k in range(1, 6))
    return moment(full_year(year), month, day, hour, minute, float(found[6]), found[7])
