"""COSMOS strong-motion format, version 1.20: text, one or more components per file, stages V0 to V2.

Format: COSMOS Strong Motion Data Format, Version 1.20 (2001), with the tables of
https://www.strongmotioncenter.org/NCESMD/reports/COSMOS_Tables.pdf. Thirteen lines of text, 100 integers,
100 reals, comments, samples, a last line. Each of the numeric parts begins with a line that states how many
there are and in which FORTRAN format. Here all values are taken from the numbers; of the text only what the
numbers do not have. ``-999`` means *not stated*, unless line 13 says otherwise.

Counts (V0) become acceleration by what the header says of digitizer, sensor and gain:
``counts / (cm/s2) = sensitivity [V/g] * gain / (LSB [uV] * 1e-6) / 980.665``.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kaname.core.errors import FormatError
from kaname.core.shaking import GRAVITY_CM_S2
from kaname.formats.accelerogram_text import columns, fixed_width, moment, whole
from kaname.formats.accelerograms import AccelerogramRead, AccelerogramReader, RecordHeader, Stage
from kaname.formats.contract import register

_TITLE = re.compile(
    rb"^\s*(raw acceleration counts|(?:un)?corrected acceleration)\b.*\(format v", re.IGNORECASE
)
_TEXT_LINES = 13
_UNSTATED = -999.0
_NETWORK = {
    1: "C_", 2: "NP", 3: "RE", 5: "CE", 6: "CI", 7: "BK", 8: "NC", 9: "SB", 10: "AZ", 14: "NN", 15: "UW",
    20: "WR", 21: "PG", 30: "US", 31: "GS", 32: "IU", 33: "CU", 35: "US", 36: "AG", 37: "AK", 38: "AO",
    39: "AV", 40: "ET", 46: "LD", 48: "MB", 49: "NE", 50: "NM", 51: "UW", 52: "UU", 53: "WY", 54: "PR",
    55: "CO", 56: "HV", 57: "IC", 58: "II", 59: "IW", 61: "TA", 62: "TR", 64: "SN", 100: "TW", 107: "BG",
    110: "BO", 111: "UO", 200: "KO",
}  # fmt: skip
"""Network numbers of the tables as FDSN codes, for files that state no code in their text."""
_CM_S2 = {2: GRAVITY_CM_S2, 4: 1.0, 7: 2.54, 10: 1.0, 11: GRAVITY_CM_S2 * 1e-3}
"""Codes of units of acceleration and what one is in cm/s2; 50 is counts."""
_COUNTS = 50
_ACCELERATION = 1
_VERTICALS = {400: "Up", 401: "Down", 402: "Vertical"}
_HOUSING = {
    1: "small shelter", 2: "small shelter", 3: "ground", 4: "reference", 5: "base of building",
    6: "free field", 7: "ocean bottom", 8: "small vault", 9: "large vault", 10: "building", 11: "bridge",
    12: "dam", 13: "wharf", 14: "tunnel", 15: "lifeline", 20: "structure", 50: "geotechnical array",
    51: "array",
}  # fmt: skip
_STAGES: dict[int, Stage] = {0: "raw", 1: "uncorrected", 2: "corrected"}


@register
class CosmosReader(AccelerogramReader):
    """Reader of COSMOS files."""

    name = "cosmos"

    def sniff(self, head: bytes, path: Path) -> bool:
        """Look for a title with the version of the format."""
        return bool(_TITLE.match(head[:200].split(b"\n")[0]))

    def parse(self, content: bytes, path: Path) -> AccelerogramRead:
        """Parse the components; a damaged one ends the file, for nothing says where the next begins."""
        lines = content.replace(b"\r", b"").split(b"\n")
        unended = bool(lines[-1])
        out = AccelerogramRead()
        at = 0
        while at < len(lines) and any(line.strip() for line in lines[at:]):
            if not _TITLE.match(lines[at]):
                at += 1
                continue
            try:
                at = _component(lines, at, path, out, unended)
            except _Damage as damage:
                out.fail(path, f"line {at + 1}: {damage}")
                break
        if not out.records and not out.failures:
            raise FormatError(f"{path} is no COSMOS file: no line begins a record")
        return out


class _Damage(Exception):
    """A part of the record that is not as the format has it."""


def _component(lines: list[bytes], at: int, path: Path, out: AccelerogramRead, unended: bool) -> int:
    text = [line.decode("latin-1") for line in lines[at : at + _TEXT_LINES]]
    integers, after = _section(lines, at + _TEXT_LINES, "integer")
    reals, after = _section(lines, after, "real")
    if len(integers) < 100 or len(reals) < 100:
        raise _Damage(f"{len(integers)} integers and {len(reals)} reals in its header; expected 100 of each")
    comments, after = _comments(lines, after)
    header = _header(text, integers, reals, comments)
    count, width, per_line = _layout(lines, after, "samples")
    ended = min(after + 1 + -(-count // per_line), len(lines))
    values = columns(lines, after + 1, width=width, per_line=per_line, count=count, unended=unended)
    header = replace(header, n_sample=count)
    unit = int(integers[2]) if math.isfinite(integers[2]) else 0
    if integers[1] not in (_ACCELERATION, _UNSTATED) and math.isfinite(integers[1]):
        out.fail(
            path, f"left out {header.component}: its quantity has code {integers[1]:g}, not acceleration (1)"
        )
        return ended
    if unit == _COUNTS:
        samples: NDArray[Any] = values
        if (
            np.isfinite(values).all()
            and (values == np.round(values)).all()
            and np.abs(values).max(initial=0) < 2**31
        ):
            samples = values.astype(np.int32)
        header = replace(header, stage="raw")
    elif unit in _CM_S2:
        samples = values * _CM_S2[unit] if _CM_S2[unit] != 1.0 else values
        header = replace(header, stage="uncorrected" if header.stage == "raw" else header.stage)
        header = replace(header, peak_factor=_CM_S2[unit])
    else:
        out.fail(
            path, f"left out {header.component}: its unit has code {integers[2]:g}, not one of acceleration"
        )
        return ended
    out.add(path, header, samples)
    return ended


def _layout(lines: list[bytes], at: int, what: str) -> tuple[int, int, int]:
    """Read the line that begins a numeric part: how many numbers, characters of each, numbers per line."""
    line = lines[at].decode("latin-1") if at < len(lines) else ""
    found = re.match(r"\s*(\d{1,9})\b.*?format\s*=?\s*\(\s*(\d*)\s*[ifegd]\s*(\d+)", line, re.IGNORECASE)
    if not found or not int(found[3]) or not int(found[1]) or int(found[1]) > 100_000_000:
        raise _Damage(f"expected the number and format of the {what}, found {line[:60]!r}")
    return int(found[1]), int(found[3]), int(found[2] or 1) or 1


def _section(lines: list[bytes], at: int, what: str) -> tuple[NDArray[np.float64], int]:
    count, width, per_line = _layout(lines, at, what + " header values")
    n_line = -(-count // per_line)
    values, _ = fixed_width(lines[at + 1 : at + 1 + n_line], width, per_line, count)
    return values, at + 1 + n_line


def _comments(lines: list[bytes], at: int) -> tuple[str, int]:
    line = lines[at].decode("latin-1") if at < len(lines) else ""
    found = re.match(r"\s*(\d{1,4})\s+comment", line, re.IGNORECASE)
    if not found:
        raise _Damage(f"expected the number of comment lines, found {line[:60]!r}")
    n = int(found[1])
    text = "\n".join(c.decode("latin-1").strip().lstrip("|").strip() for c in lines[at + 1 : at + 1 + n])
    return text, at + 1 + n


def _header(text: list[str], integers: NDArray[Any], reals: NDArray[Any], comments: str) -> RecordHeader:
    unknown = re.search(r"unspecified:\s*(-?\d+)\s*,\s*(-?[\d.]+)", text[12])
    i = np.where(integers == (float(unknown[1]) if unknown else _UNSTATED), np.nan, integers)
    r = np.where(np.isclose(reals, float(unknown[2]) if unknown else _UNSTATED), np.nan, reals)
    i[integers == _UNSTATED] = np.nan
    r[reals == _UNSTATED] = np.nan
    code = re.search(r"Code:\s*([A-Z0-9_]{1,2})-(\S+)", text[4])
    network = code[1] if code else _NETWORK.get(whole(i[10]), "")
    station = code[2] if code else f"{whole(i[7]) or ''}"
    location, channel = f"{int(i[55]):02d}" if np.isfinite(i[55]) and 0 <= i[55] < 100 else "", ""
    scnl = re.search(r"<SCNL>\s*(\w+)\.(\w+)\.(\w+)\.([\w-]+)", comments)
    if scnl:
        station, channel, network, location = scnl[1], scnl[2], scnl[3], scnl[4].replace("-", "")
    # The direction is stated from north, or from a reference direction of the structure, itself from north.
    azimuth = i[53]
    if not 1 <= azimuth <= 402 and np.isfinite(i[54]) and np.isfinite(i[19:21]).any():
        azimuth = (i[54] + i[19:21][np.isfinite(i[19:21])][0] - 1.0) % 360.0 + 1.0
    vertical = azimuth in _VERTICALS or channel.endswith("Z")
    known = 1 <= azimuth <= 360 and not vertical
    named = re.search(r"Sta Cha?n?\s*:?\s*\S*?:?\s*\d*\S*?:\s*(.*?)\s*\(Rcrdr", text[8])
    component = _VERTICALS.get(whole(azimuth), named[1] if named else f"{azimuth:g}")
    magnitude, kind = next(
        ((m, k) for m, k in zip(r[12:16], ("Mw", "Ms", "ML", "")) if np.isfinite(m)), (np.nan, "")
    )
    start = moment(i[39], i[41], i[42], i[43], i[44], r[29] if np.isfinite(r[29]) else 0.0)
    sensitivity, gain, bit = r[41], r[46] if r[46] > 0 else 1.0, r[21]
    with np.errstate(divide="ignore", invalid="ignore"):
        per_unit = sensitivity * gain / (bit * 1e-6) / GRAVITY_CM_S2
        rate = round(1000.0 / r[61], 9)
    name = re.search(r"(?:Record of\s+)?(.*?)(?:\s+Earthquake|\s{3,}|$)", text[1])
    stage = _STAGES.get(int(i[0]) if np.isfinite(i[0]) else -1) or _stage(text[0])
    peak = re.search(r"Max\s*=\s*(-?[\d.]+)", text[10])
    if peak is None and stage == "raw":
        peak = re.search(r"Uncor max\s*=\s*(-?[\d.]+)", text[9], re.IGNORECASE)
    origin = re.search(r"Origin:\s*(\d+)/(\d+)/(\d+),?\s+(\d+):(\d+):([\d.]+)\s+UTC", text[3])
    return RecordHeader(
        format="cosmos",
        stage=stage,
        network=network,
        station=station,
        location=location,
        channel=channel,
        station_name=text[4][40:].strip(),
        housing=_HOUSING.get(whole(i[18]), ""),
        component=component,
        azimuth_deg=float(azimuth) % 360.0 if known else np.nan,
        vertical=vertical,
        start=start,
        start_uncertainty_s=0.0 if np.isfinite(r[29]) else 60.0,
        sampling_rate=float(rate) if np.isfinite(rate) else np.nan,
        latitude=_within(r[0], -90, 90),
        longitude=_within(r[1], -180, 360),
        elevation_m=float(r[2]),
        vs30_m_s=float(r[3]) if r[3] > 0 else np.nan,
        site=text[5].partition("eology:")[2].strip(),
        event_name=name[1].strip() if name else "",
        origin_time=_origin(origin),
        event_latitude=_within(r[9], -90, 90),
        event_longitude=_within(r[10], -180, 360),
        event_depth_km=float(r[11]),
        magnitude=float(magnitude),
        magnitude_type=kind,
        instrument=text[6].partition("Sensor:")[2].strip(),
        natural_frequency_hz=float(r[39]),
        damping=float(r[40]),
        counts_per_cm_s2=float(per_unit) if np.isfinite(per_unit) and per_unit > 0 else np.nan,
        corner_low_hz=float(r[53]) if r[53] > 0 else np.nan,
        corner_high_hz=float(r[56]) if r[56] > 0 else np.nan,
        peak=peak[1] if peak else "",
        comments=comments,
    )


def _stage(title: str) -> Stage:
    word = title.strip().lower()
    return "raw" if word.startswith("raw") else "uncorrected" if word.startswith("un") else "corrected"


def _within(value: float, low: float, high: float) -> float:
    return float(value) if low <= value <= high else np.nan


def _origin(found: re.Match[str] | None) -> np.datetime64:
    if not found:
        return np.datetime64("NaT", "ns")
    a, b, c = int(found[1]), int(found[2]), int(found[3])
    year, month, day = (a, b, c) if a > 31 else (c, a, b)  # 2018/11/30 and 06/16/2005
    return moment(year, month, day, int(found[4]), int(found[5]), float(found[6]))
