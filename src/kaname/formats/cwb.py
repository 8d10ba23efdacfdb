"""CWB: accelerograms of Taiwan's Central Weather Bureau (now Administration), three components per file.

A block of lines ``#Name: value``, the last of which states the Fortran format of the rows (``4F10.3``); then
rows of time [s] and acceleration [gal], in the order that ``#DataSequence`` states: up, north, east. Known
from files that the network hands out; no description of the format is published. Times are local time where
the line says ``(GMT+08)``. Older files state no zone at all, and nothing else in them decides: these have no
usable start and are refused.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from kaname.core.errors import FormatError
from kaname.formats.accelerogram_text import columns, moment, number
from kaname.formats.accelerograms import AccelerogramRead, AccelerogramReader, RecordHeader
from kaname.formats.contract import register

_FIRST = re.compile(rb"^#(Earthquake Information|StationCode)\b")
_LINE = re.compile(r"^#\s*(\w[\w. ]*?)\s*(?:\(([^)]*)\))?\s*:\s*(.*?)\s*$")
_SEQUENCE = re.compile(r"(\w+)\(([+-])\)")
_FORMAT = re.compile(r"\b(\d+)F(\d+)\.\d+", re.IGNORECASE)
_CLOCK = re.compile(r"(\d{4})/(\d\d?)/(\d\d?)-(\d\d?):(\d\d):(\d\d(?:\.\d+)?)")
_MOST_HEADER_LINES = 40
_AZIMUTHS = {"U": np.nan, "N": 0.0, "E": 90.0}


@register
class CwbReader(AccelerogramReader):
    """Reader of CWB's text files."""

    name = "cwb"

    def sniff(self, head: bytes, path: Path) -> bool:
        """Look for the first line, and for the names of the block's last ones."""
        return bool(_FIRST.match(head)) and b"#DataSequence" in head

    def parse(self, content: bytes, path: Path) -> AccelerogramRead:
        """Parse the components of a file, which stand side by side."""
        lines = content.replace(b"\r", b"").split(b"\n")
        stated: dict[str, tuple[str, str]] = {}
        at = 0
        while at < min(len(lines), _MOST_HEADER_LINES) and (
            lines[at].startswith(b"#") or not lines[at].strip()
        ):
            found = _LINE.match(lines[at].decode("utf-8", "replace"))
            if found:
                stated[found[1]] = (found[3], found[2] or "")
            at += 1
        layout = _FORMAT.search(stated.get("Data", ("", ""))[0])
        order = _SEQUENCE.findall(stated.get("DataSequence", ("", ""))[0])
        if not layout or int(layout[1]) != len(order) + 1 or not int(layout[2]):
            raise FormatError(
                f"{path}: #DataSequence and #Data state {len(order)} components and the format "
                f"{layout[0] if layout else 'of nothing'}; a time and each component are expected"
            )
        unit = stated.get("AmplitudeUnit", ("", ""))[0]
        if not unit.lower().startswith("gal"):
            raise FormatError(f"{path}: its unit is {unit!r}, expected gal")
        rate, length = (number(stated.get(k, ("", ""))[0]) for k in ("SampleRate", "RecordLength"))
        per_line, n_row = len(order) + 1, len(lines) - at
        numbers = columns(
            lines, at, width=int(layout[2]), per_line=per_line, count=n_row * per_line,
            unended=bool(lines[-1]),
        )  # fmt: skip
        rows = numbers[: len(numbers) // per_line * per_line].reshape(-1, per_line)
        out = AccelerogramRead()
        # A row that is missing shows in the times alone.
        odd = np.flatnonzero(np.abs(rows[:, 0] * rate - np.arange(len(rows))) > 0.5)
        if len(odd):
            out.fail(path, f"row {odd[0] + 1} has the time of another: left out from there")
            rows = rows[: odd[0]]
        n_sample = round(length * rate) if np.isfinite(length * rate) else 0
        for k, (letter, sign) in enumerate(order):
            if letter not in _AZIMUTHS or sign != "+":
                out.fail(path, f"left out {letter}({sign}): expected U(+), N(+) or E(+)")
                continue
            out.add(path, _header(stated, letter, rate, n_sample), rows[:, k + 1])
        return out


def _header(stated: dict[str, tuple[str, str]], letter: str, rate: float, n_sample: int) -> RecordHeader:
    def text(key: str) -> str:
        return stated.get(key, ("", ""))[0]

    peaks = re.findall(r"-?\d+\.\d+", text(f"AmplitudeMAX. {letter}"))
    return RecordHeader(
        format="cwb",
        stage="uncorrected",
        station=text("StationCode"),
        station_name=text("StationName"),
        component=letter,
        azimuth_deg=_AZIMUTHS[letter],
        vertical=letter == "U",
        start=_time(*stated.get("StartTime", ("", ""))),
        sampling_rate=rate,
        n_sample=n_sample,
        latitude=_place(*stated.get("StationLatitude", ("", ""))),
        longitude=_place(*stated.get("StationLongitude", ("", ""))),
        origin_time=_time(*stated.get("Origin Time", ("", ""))),
        event_latitude=_place(*stated.get("EpicenterLatitude", ("", ""))),
        event_longitude=_place(*stated.get("EpicenterLongitude", ("", ""))),
        event_depth_km=number(text("Depth")),
        magnitude=number(text("Magnitude")),
        magnitude_type={"Ml": "ML", "ML": "ML", "Mw": "Mw"}.get(stated.get("Magnitude", ("", ""))[1], ""),
        instrument=text("InstrumentKind"),
        peak=max(peaks, key=lambda p: abs(float(p)), default=""),
        comments=text("AmplitudeUnit"),
    )


def _time(text: str, zone: str) -> np.datetime64:
    """Time of a line whose zone its name states, such as ``(GMT+08)``."""
    found, ahead = _CLOCK.match(text), re.fullmatch(r"GMT([+-]\d{1,2})|UTC?|GMT", zone)
    if not found or not ahead:
        return np.datetime64("NaT", "ns")
    year, month, day, hour, minute, second = map(float, found.groups())
    return moment(year, month, day, hour, minute, second) - np.timedelta64(int(ahead[1] or 0), "h")


def _place(text: str, hemisphere: str) -> float:
    value = number(text)
    return -value if hemisphere in ("S", "W") else value
