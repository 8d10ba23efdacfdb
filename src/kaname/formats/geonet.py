"""GeoNet strong-motion records of New Zealand (``.V2A``, ``.V1A``): text, three components per file.

Format: https://www.geonet.org.nz/data/supplementary/strong_motion_file_formats. For each component 16 lines
of text, 40 integers (10 of 8 columns), 60 reals (10 of 8 columns), then the samples (10 of 8 columns): of
V2A acceleration, velocity and displacement in mm/s2, mm/s and mm; of V1A acceleration alone. Accelerations
are given in cm/s2.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from kaname.formats.accelerogram_text import (
    columns,
    degrees,
    direction,
    fixed_width,
    moment,
    number,
    whole,
)
from kaname.formats.accelerograms import AccelerogramRead, ComponentsReader, RecordHeader
from kaname.formats.contract import register

_TITLE = re.compile(
    rb"^\s*(un)?corrected accelerogram\s+\S+.*(GNS|geonet|institute of geological)", re.IGNORECASE
)
_SITE = re.compile(rb"^\s*site\s+\S+\s+\d+\s+\d+\s+\d+[NS]", re.IGNORECASE)
_TEXT_LINES, _INTEGER_LINES, _REAL_LINES, _WIDTH, _PER_LINE = 16, 4, 6, 8, 10
_MM_PER_CM = 10.0


@register
class GeonetReader(ComponentsReader):
    """Reader of GeoNet's V1A and V2A files."""

    name = "geonet"
    what = "GeoNet record"
    first, second = _TITLE, _SITE

    def component(self, lines: list[bytes], path: Path, out: AccelerogramRead, unended: bool) -> None:
        """Parse one; see `ComponentsReader`."""
        text = [line.decode("latin-1") for line in lines[:_TEXT_LINES]]
        after = _TEXT_LINES + _INTEGER_LINES
        integers, _ = fixed_width(lines[_TEXT_LINES:after], _WIDTH, _PER_LINE, 40)
        reals, _ = fixed_width(lines[after : after + _REAL_LINES], _WIDTH, _PER_LINE, 60)
        after += _REAL_LINES
        if len(integers) < 40 or len(reals) < 60:
            out.fail(path, "truncated in the header of a component")
            return
        header = _header(text, integers, reals)
        layout = {"width": _WIDTH, "per_line": _PER_LINE, "count": header.n_sample}
        out.add(path, header, columns(lines, after, **layout, unended=unended) / _MM_PER_CM)


def _header(text: list[str], i: np.ndarray, r: np.ndarray) -> RecordHeader:
    site = re.match(r"\s*Site\s+(\S+)\s+(\d+\s+\d+\s+\d+[NS])\s+(\d+\s+\d+\s+\d+[EW])", text[1])
    place = re.match(r"\s*Epicentre\s+(\d+\s+\d+\s+\d+[NS])\s+(\d+\s+\d+\s+\d+[EW])", text[8])
    size = re.search(r"\b(M[A-Za-z]?)\s+(-?\d+(?:\.\d+)?)\s*$", text[8])
    depth = re.search(r"Depth\s+(\d+(?:\.\d+)?)\s*km", text[8])
    component = re.match(r"\s*Component\s+(\S+)", text[12])
    word = component[1] if component else ""
    azimuth, vertical = direction(word)
    peak = re.search(r"peak\s+(-?[\d.]+)\s*mm/s/s", text[13])
    band = re.search(r"bands are\s+([\d.]+)\s*-\s*([\d.]+)\s*Hz and\s+([\d.]+)\s*-\s*([\d.]+)", text[11])
    interval = re.search(r"at\s+([\d.]+)\s+sec intervals", text[10])
    step = number(interval[1]) if interval else r[25]
    origin = moment(i[0], i[1], i[2], i[3], i[4], i[5] / 10.0)
    return RecordHeader(
        format="geonet",
        stage="uncorrected" if text[0].strip().lower().startswith("un") else "corrected",
        network="NZ",
        station=site[1] if site else "",
        station_name=text[2].strip(),
        component=word,
        azimuth_deg=azimuth,
        vertical=vertical,
        start=moment(i[8], i[9], i[18], i[19], i[38], i[39] / 1000.0),
        sampling_rate=round(1.0 / step, 6) if step > 0 else np.nan,
        n_sample=whole(i[33]),
        latitude=degrees(site[2]) if site else np.nan,
        longitude=degrees(site[3]) if site else np.nan,
        event_name=text[6].strip(),
        origin_time=origin,
        event_latitude=degrees(place[1]) if place else np.nan,
        event_longitude=degrees(place[2]) if place else np.nan,
        event_depth_km=number(depth[1]) if depth else np.nan,
        magnitude=number(size[2]) if size and number(size[2]) > 0 else np.nan,
        magnitude_type="" if not size or size[1] == "M" else size[1],
        instrument=text[3].partition("Instrument")[2].strip(),
        natural_frequency_hz=float(r[0]) if r[0] > 0 else np.nan,
        damping=float(r[1]) if r[1] > 0 else np.nan,
        # Of a transition band the end in the pass band is the corner.
        corner_low_hz=number(band[2]) if band else np.nan,
        corner_high_hz=number(band[3]) if band else np.nan,
        peak=peak[1] if peak else "",
        peak_factor=1.0 / _MM_PER_CM,
    )
