"""F-net moment tensors: the text that NIED's catalogue search gives, to a table and to QuakeML.

One line per earthquake, 21 fields apart by blanks or tabs, after a head that names them ("Search Result").
Times are UTC, moments N m, strikes, dips and rakes two to a field (``22;200``). The tensor is in units of its
own field ``Unit(Nm)`` and in the frame x north, y east, z down (Aki & Richards); QuakeML wants r up, t south,
p east: Mrr = Mzz, Mtt = Mxx, Mpp = Myy, Mrt = Mxz, Mrp = -Myz, Mtp = -Mxy. See ``docs/formats-jma.md``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kaname.core.errors import FormatError, InputError
from kaname.core.tables import EVENTS, sift, table
from kaname.core.time import as_time
from kaname.formats.bundles import members
from kaname.formats.eventset import EventSet, failure
from kaname.formats.quakeml import to_catalog
from kaname.formats.quakeml_identifiers import to_resource

METHOD = "F-net moment tensor"
_N_FIELD = 21
_HEAD_BYTES = 4096
_PEEK_MEMBERS = 8
_TENSOR = ("mxx", "mxy", "mxz", "myy", "myz", "mzz")
_PLANE = ("strike", "dip", "rake")


@dataclass(frozen=True)
class FnetRead:
    """Moment tensors, and what could not be read."""

    table: pd.DataFrame
    """One row per earthquake: ``event_id, time`` (UTC), ``latitude, longitude, depth_km, magnitude_jma`` (of
    JMA), ``region``, ``strike_1_deg, dip_1_deg, rake_1_deg`` and the same of plane 2, ``moment_n_m``,
    ``centroid_depth_km``, ``mw``, ``variance_reduction_percent``, ``mxx_n_m`` to ``mzz_n_m`` (x north, y
    east, z down) and ``n_station``."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    """Rows of `kaname.core.tables.FAILURES`."""

    def events(self) -> EventSet:
        """Return the hypocentres of JMA with the moment magnitudes of F-net as events."""
        rows, failures = [], list(self.failures)
        for row in self.table.to_dict("records"):
            event = {
                "event_id": row["event_id"],
                **{name: row[name] for name in ("time", "latitude", "longitude", "depth_km", "n_station")},
                "magnitude": row["mw"],
                "magnitude_type": "Mw",
                "method": METHOD,
                "remark": f"{row['region']}; JMA magnitude {row['magnitude_jma']:g}; hypocentre of JMA",
            }
            kept, wrong = sift(event, EVENTS)
            if wrong:
                failures.append(failure(row["event_id"], "InputError", "; ".join(wrong)))
            rows += [] if kept is None else [kept]
        return EventSet(table(rows, EVENTS), failures=failures)

    def catalog(self) -> Any:
        """Return an ObsPy ``Catalog`` with focal mechanisms, moment tensors and both magnitudes."""
        from obspy.core import event as ev

        read = self.events()
        catalog = to_catalog(read.events, read.arrivals, read.picks)
        by_id = {row["event_id"]: row for row in self.table.to_dict("records")}
        for event, event_id in zip(catalog, read.events["event_id"], strict=True):
            row = by_id[event_id]
            jma = event.preferred_origin()
            centroid = ev.Origin(
                resource_id=to_resource("centroid", event_id),
                time=jma.time,
                latitude=jma.latitude,
                longitude=jma.longitude,
                depth=1000.0 * row["centroid_depth_km"],
                depth_type="from moment tensor inversion",
            )
            event.origins.append(centroid)
            event.magnitudes.append(
                ev.Magnitude(
                    resource_id=to_resource("magnitude-jma", event_id),
                    mag=row["magnitude_jma"],
                    magnitude_type="MJ",
                    origin_id=jma.resource_id,
                )
            )
            event.focal_mechanisms.append(_mechanism(row, jma, centroid, event.preferred_magnitude_id))
            event.preferred_focal_mechanism_id = event.focal_mechanisms[0].resource_id
        return catalog


def is_fnet(head: bytes) -> bool:
    """Tell whether bytes begin with the head of a catalogue search of F-net; never raises."""
    return b"Origin Time(UT)" in head and b"Mo(Nm)" in head and b"mxx" in head


def holds_fnet(path: Path) -> bool:
    """Tell whether a file, packed or not, is the answer to a catalogue search of F-net."""
    try:
        peeked = zip(range(_PEEK_MEMBERS), members(path, peek=_HEAD_BYTES))
        return any(is_fnet(member.content) for _, member in peeked)
    except OSError:
        return False


def read_fnet(path: str | Path) -> FnetRead:
    """Read the answer to a catalogue search of F-net.

    Raises
    ------
    FormatError
        When there is no earthquake in it.
    """
    source = Path(path)
    rows: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    try:
        contents = [m.content for m in members(source) if is_fnet(m.content[:_HEAD_BYTES])]
    except OSError as error:
        raise FormatError(f"cannot read {source}: {error.strerror or error}") from error
    seen: dict[str, int] = {}
    for content in contents:
        lines = list(enumerate(content.decode("utf-8", "replace").splitlines(), start=1))
        begin = next((n for n, line in lines if line.startswith("Origin Time(UT)")), len(lines))
        for number, line in lines[begin:]:
            if not line.strip():
                continue
            try:
                row = _row(line)
            except (ValueError, InputError) as error:
                message = f"line {number} is no moment tensor row of F-net: {error}"
                failures.append(failure(source, "FormatError", message))
                continue
            name = f"fnet{pd.Timestamp(row['time']):%Y%m%d%H%M%S%f}"[:20]
            seen[name] = seen.get(name, 0) + 1
            rows.append({"event_id": name if seen[name] == 1 else f"{name}-{seen[name]}", **row})
    if not rows:
        reasons = "; ".join(f["message"] for f in failures) or "no row after the line of field names"
        raise FormatError(f"nothing can be read from {source} as F-net moment tensors: {reasons}")
    return FnetRead(pd.DataFrame(rows), failures)


def _row(line: str) -> dict[str, Any]:
    words = line.split()
    if len(words) != _N_FIELD:
        raise ValueError(f"{len(words)} fields, expected {_N_FIELD}")
    date, _, clock = words[0].partition(",")
    row: dict[str, Any] = {"time": as_time(f"{date.replace('/', '-')}T{clock}")}
    names = ("latitude", "longitude", "depth_km", "magnitude_jma")
    row |= dict(zip(names, map(_finite, words[1:5])))
    if not (abs(row["latitude"]) <= 90 and -180 <= row["longitude"] <= 360):
        raise ValueError(f"latitude {words[1]} and longitude {words[2]} are no degrees")
    row["region"] = words[5].replace("_", " ")
    for name, word in zip(_PLANE, words[6:9]):
        one, two = map(_finite, word.split(";"))
        row |= {f"{name}_1_deg": one, f"{name}_2_deg": two}
    names = ("moment_n_m", "centroid_depth_km", "mw", "variance_reduction_percent")
    row |= dict(zip(names, map(_finite, words[9:13])))
    unit = _finite(words[19])
    row |= {f"{name}_n_m": unit * _finite(word) for name, word in zip(_TENSOR, words[13:19])}
    return row | {"n_station": int(words[20])}


def _finite(word: str) -> float:
    value = float(word)
    if not np.isfinite(value):
        raise ValueError(f"{word!r} is no number")
    return value


def _mechanism(row: dict[str, Any], jma: Any, centroid: Any, magnitude_id: Any) -> Any:
    from obspy.core import event as ev

    planes = [ev.NodalPlane(**{name: row[f"{name}_{n}_deg"] for name in _PLANE}) for n in (1, 2)]
    mxx, mxy, mxz, myy, myz, mzz = (row[f"{name}_n_m"] for name in _TENSOR)
    return ev.FocalMechanism(
        resource_id=to_resource("mechanism", row["event_id"]),
        triggering_origin_id=jma.resource_id,
        nodal_planes=ev.NodalPlanes(nodal_plane_1=planes[0], nodal_plane_2=planes[1], preferred_plane=1),
        moment_tensor=ev.MomentTensor(
            resource_id=to_resource("moment-tensor", row["event_id"]),
            derived_origin_id=centroid.resource_id,
            moment_magnitude_id=magnitude_id,
            scalar_moment=row["moment_n_m"],
            variance_reduction=row["variance_reduction_percent"],
            tensor=ev.Tensor(m_rr=mzz, m_tt=mxx, m_pp=myy, m_rt=mxz, m_rp=-myz, m_tp=-mxy),
        ),
    )
