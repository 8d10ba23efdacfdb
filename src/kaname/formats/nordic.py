"""Nordic format (SEISAN S-files), writing; reading is ObsPy's.

Columns after the SEISAN manual, appendix A. Each event gives a header (type 1, and type H with more
digits), the error line (type E), comments (type 3), an identification (type I), and one line per onset and
per amplitude (type 4), then a blank line. ObsPy's own writer is not used: it writes 5 ms as 500 ms in type
H lines.

What the format has no room for is lost: networks and locations, stations beyond five characters (cut),
weights finer than tenths, probabilities, and the time of an amplitude, which stands at that of its onset.
Amplitudes are in nanometres of ground displacement at magnification 1 (IASPEI).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from kaname.core.tables import ARRIVALS, EVENTS, PICKS, validate
from kaname.formats.quakeml_identifiers import evaluation_mode
from kaname.signal.response import WOOD_ANDERSON_GAIN

_PHASE_HEADER = " STAT SP IPHASW D HRMM SECON CODA AMPLIT PERI AZIMU VELO AIN AR TRES W  DIS CAZ7"


def write(events: pd.DataFrame, arrivals: pd.DataFrame, picks: pd.DataFrame) -> str:
    """Return the events as one Nordic file.

    Raises
    ------
    SchemaError
        When a table breaks its schema.
    """
    events, arrivals, picks = validate(events, EVENTS), validate(arrivals, ARRIVALS), validate(picks, PICKS)
    by_event = dict(iter(arrivals.groupby("event_id", sort=False)))
    polarity = dict(zip(picks["pick_id"], picks["polarity"]))
    method = dict(zip(picks["pick_id"], picks["method"]))
    lines = []
    for event in events.itertuples(index=False):
        lines += _header(event)
        lines.append(_PHASE_HEADER)
        for arrival in by_event.get(event.event_id, arrivals.iloc[:0]).itertuples(index=False):
            lines += _phase(
                event, arrival, polarity.get(arrival.pick_id, ""), method.get(arrival.pick_id, "")
            )
        lines.append("")
    return "\n".join(lines) + "\n"


def _header(event: Any) -> list[str]:
    time = event.time
    letter = _magnitude_letter(event)
    located = np.isfinite(event.latitude) and np.isfinite(event.longitude)
    longitude = (event.longitude + 180.0) % 360.0 - 180.0
    day = f" {time.year:4d} {time.month:2d}{time.day:2d} {time.hour:2d}{time.minute:2d}"
    second = time.second + time.microsecond / 1e6
    place = (
        f"{event.latitude:7.3f}{longitude:8.3f}{_number(event.depth_km, '5.1f', 5)}" if located else " " * 20
    )
    first = (
        f"{day} {min(second, 59.9):4.1f} L {place}  KAN{event.n_station:3d}{_number(event.rms_s, '4.1f', 4)}"
        f"{_number(event.magnitude, '4.1f', 4)}{letter}KAN"
    )
    lines = [f"{first:<79}1"]
    if located:
        depth = _number(event.depth_km, "8.3f", 8)
        fine = f"{day} {second:6.3f} {event.latitude:9.5f} {longitude:10.5f} {depth}"
        lines.append(f"{fine} {_number(event.rms_s, '6.3f', 6)} KAN".ljust(79) + "H")
        lines.append(_errors(event))
    remarks = [
        event.event_id,
        f"quality {event.quality}" if event.quality else "",
        f"magnitude type {event.magnitude_type}" if event.magnitude_type and letter == " " else "",
        event.remark,
    ]
    for text in filter(None, remarks):
        plain = text.encode("ascii", "replace").decode("ascii")
        lines += [f" {plain[i : i + 77]:<78}3" for i in range(0, len(plain), 77)]
    lines.append(f" ACTION:NEW{'':15}OP:KAN  STATUS:{'':15}ID:{time:%Y%m%d%H%M%S}".ljust(79) + "I")
    return lines


def _errors(event: Any) -> str:
    sigma = [np.sqrt(event.cov_nn_km2), np.sqrt(event.cov_ee_km2), np.sqrt(event.cov_zz_km2)]
    gap = _number(event.azimuthal_gap_deg, "3.0f", 3)
    line = (
        f" GAP={gap}{'':6}{_number(event.time_uncertainty_s, '6.2f', 6)}"
        f"    {_number(sigma[0], '6.1f', 6)}  {_number(sigma[1], '6.1f', 6)}{_number(sigma[2], '5.1f', 5)}"
    )
    covariance = (event.cov_en_km2, event.cov_ez_km2, event.cov_nz_km2)
    return line + "".join(_number(v, "12.4E", 12) for v in covariance) + "E"


def _phase(event: Any, arrival: Any, polarity: str, method: str) -> list[str]:
    midnight = event.time.normalize()
    second = (arrival.time - midnight).total_seconds()
    # Hours run on past 24, which is how the format says that an onset falls on the next day.
    hour, minute = int(second // 3600), int(second % 3600 // 60)
    station = f"{arrival.station[:5]:<5}"
    component = f"{arrival.channel[:1]}{arrival.channel[-1:]}".ljust(2) if arrival.channel else "  "
    clock = f"{hour:2d}{minute:2d}"
    mark = {"up": "C", "down": "D"}.get(polarity, " ")
    automatic = " " if evaluation_mode(method) == "manual" else "A"
    weight = " " if pd.isna(arrival.weight) else f"{round(10 * arrival.weight):2d}"
    onset = (
        f" {station}{component}  {arrival.phase:<4} {automatic}{mark} {clock}{second % 60:6.2f}{'':28}"
        f"{_number(arrival.takeoff_deg, '4.0f', 4)}{'':3}{_number(arrival.residual_s, '5.2f', 5)}{weight:>2}"
    )
    where = f"{_number(arrival.distance_km, '5.1f', 5)} {_number(arrival.azimuth_deg, '3.0f', 3)}"
    lines = [f"{onset}{where}".ljust(80)]
    if np.isfinite(arrival.amplitude_mm):
        nanometres = arrival.amplitude_mm * 1e6 / WOOD_ANDERSON_GAIN
        reading = f" {station}{component}  IAML A  {clock}{second % 60:6.2f}     {nanometres:7.1f}"
        lines.append(f"{reading:<70}{where}".ljust(80))
    return lines


def _magnitude_letter(event: Any) -> str:
    letters = {
        "ML": "L",
        "Mb": "B",
        "mb": "b",
        "Ms": "S",
        "MS": "S",
        "Mw": "W",
        "MW": "W",
        "Mc": "C",
        "Md": "C",
    }
    return letters.get(event.magnitude_type, " ")


def _number(value: float, form: str, width: int) -> str:
    """Return a number in its columns, blank when it is not known, stars (as Fortran) when it does not fit."""
    text = f"{value:{form}}" if np.isfinite(value) else ""
    return f"{text:>{width}}" if len(text) <= width else "*" * width
