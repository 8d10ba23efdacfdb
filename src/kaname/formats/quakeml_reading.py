"""ObsPy ``Catalog`` to events, arrivals and picks."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from kaname.core.tables import ARRIVALS, EVENTS, PICKS, sift, table
from kaname.core.time import as_time
from kaname.formats.ellipsoid import LEVEL_PERCENT, Ellipsoid
from kaname.formats.eventset import EventSet, failure
from kaname.formats.quakeml import COVARIANCE, KM_PER_DEGREE, TRACE_MM_PER_M
from kaname.formats.quakeml_identifiers import (
    PICK_NOTES,
    UNLOCATED_ARRIVAL_NOTES,
    UNLOCATED_EVENT_NOTES,
    from_comments,
    from_further,
    from_method,
    from_resource,
)


def from_catalog(catalog: Any, *, name: str | None = None) -> EventSet:
    """Return the tables of an ObsPy ``Catalog``; what does not fit them is in the failures.

    Of several origins or magnitudes the preferred one is taken, else the first. Direct waves (P, Pg, Pn,
    Pb, and the same of S) become P and S; other phases do not fit. An amplitude goes with the arrival of
    its sensor (S before P), the largest where there are several. Weights beyond 1 are divided by the
    largest, negative ones are unknown. An ellipse without a confidence level is taken as it stands, an
    ellipsoid at odds with the ellipse is not, and the remark says so.

    Parameters
    ----------
    catalog
        ObsPy ``Catalog``.
    name
        With it, identifiers that a reader drew at random are replaced by this name and a number, so that
        reading a file twice gives the same tables.
    """
    events: list[dict[str, Any]] = []
    arrivals: list[dict[str, Any]] = []
    picks: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []

    def refuse(subject: str, message: str) -> None:
        failures.append(failure(subject, "InputError", message))

    for number, event in enumerate(catalog, start=1):
        made_up = "" if name is None else name if len(catalog) == 1 else f"{name}-{number:03d}"
        event_id = from_resource(event.resource_id, made_up)
        own_picks, skipped = _read_picks(event, made_up)
        if skipped:
            refuse(event_id, f"picks neither of direct P nor S are left out: {', '.join(sorted(skipped))}")
        origin = event.preferred_origin() or (event.origins[0] if event.origins else None)
        if origin is not None and None in (origin.time, origin.latitude, origin.longitude):
            origin = None
        if origin is None and not own_picks:
            refuse(event_id, "left out: an event without hypocentre and without picks")
            continue
        own_arrivals = _read_arrivals(event, event_id, origin, own_picks)
        lost = _read_amplitudes(event, own_arrivals)
        if lost:
            refuse(event_id, f"amplitudes without an arrival at their sensor: {', '.join(sorted(lost))}")
        stated = from_comments(event.comments, UNLOCATED_EVENT_NOTES)
        row = _read_origin(event, origin) if origin is not None else _unlocated(own_picks)
        remarks = [text for text in (stated.pop("remark", ""), row.pop("remark", "")) if text]
        row = {**from_further(event.comments, EVENTS), **row}
        row |= {"event_id": event_id, "remark": "; ".join(remarks), **_read_magnitude(event), **stated}
        counted = [a for a in own_arrivals if a.get("weight") != 0]
        row.setdefault("n_p", sum(a["phase"] == "P" for a in counted) if origin is not None else 0)
        row.setdefault("n_s", sum(a["phase"] == "S" for a in counted) if origin is not None else 0)
        whole, wrong = sift(row, EVENTS)
        if whole is None:
            refuse(event_id, f"left out: {'; '.join(wrong)}")
            continue
        events.append(whole)
        for rows, schema, kept in ((own_arrivals, ARRIVALS, arrivals), (own_picks.values(), PICKS, picks)):
            for part, faults in (sift(r, schema) for r in rows):
                wrong += faults
                kept += [] if part is None else [part]
        if wrong:
            refuse(event_id, f"taken without: {'; '.join(dict.fromkeys(wrong))}")
    return EventSet(table(events, EVENTS), table(arrivals, ARRIVALS), table(picks, PICKS), failures)


def _read_picks(event: Any, made_up: str) -> tuple[dict[str, dict[str, Any]], set[str]]:
    """Return the rows of direct P and S picks by QuakeML identifier, and the phases of the others."""
    phase_of = {str(a.pick_id): a.phase for o in event.origins for a in o.arrivals if a.phase}
    rows: dict[str, dict[str, Any]] = {}
    skipped: set[str] = set()
    for pick in event.picks:
        hint = (pick.phase_hint or phase_of.get(str(pick.resource_id)) or "").strip()
        direct = re.fullmatch(r"([PSps])[gnb*]?[1-9]?", hint, re.IGNORECASE)
        if direct is None:
            if not re.match(r"(I?A|I?V|END|BAZ|AM)", hint):  # readings of amplitude, duration and direction
                skipped.add(hint or "(none)")
            continue
        where = _codes(pick.waveform_id)
        phase = direct[1].upper()
        polarity = {"positive": "up", "negative": "down"}.get(pick.polarity or "", "")
        label = f"{'.'.join(where.values())}/{phase}"
        rows[str(pick.resource_id)] = {
            "pick_id": from_resource(pick.resource_id, made_up and f"{made_up}/{label}/{len(rows) + 1}"),
            **where,
            "phase": phase,
            "time": as_time(pick.time),
            "time_uncertainty_s": _error(pick.time_errors),
            "polarity": polarity,
            "method": from_method(pick.method_id, pick.evaluation_mode),
            **from_comments(pick.comments, PICK_NOTES),
        }
    return rows, skipped


def _read_arrivals(
    event: Any, event_id: str, origin: Any, picks: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    shared = ("pick_id", "network", "station", "location", "channel", "phase", "time", "time_uncertainty_s")
    if origin is None:
        notes = {str(p.resource_id): from_comments(p.comments, UNLOCATED_ARRIVAL_NOTES) for p in event.picks}
        return [{"event_id": event_id, **{k: p[k] for k in shared}, **notes[i]} for i, p in picks.items()]
    weights = [a.time_weight for a in origin.arrivals if a.time_weight is not None]
    largest = max([1.0, *weights])
    return [
        {
            "event_id": event_id,
            **{k: picks[str(a.pick_id)][k] for k in shared},
            "residual_s": _float(a.time_residual),
            "weight": np.nan if (a.time_weight or 0.0) < 0 else _float(a.time_weight) / largest,
            "distance_km": _float(a.distance) * KM_PER_DEGREE,
            "azimuth_deg": _float(a.azimuth) % 360.0,
            "takeoff_deg": _float(a.takeoff_angle),
        }
        for a in origin.arrivals
        if str(a.pick_id) in picks
    ]


def _read_amplitudes(event: Any, arrivals: list[dict[str, Any]]) -> set[str]:
    """Add amplitudes and station magnitudes to the arrivals; return the sensors that have no arrival."""
    by_pick = {a["pick_id"]: a for a in arrivals}
    lost = set()
    own: dict[str, dict[str, Any]] = {}
    for amplitude in event.amplitudes:
        if not (amplitude.type or "").endswith("AML") or amplitude.unit not in ("m", None):
            continue
        arrival = by_pick.get(from_resource(amplitude.pick_id)) or _at_sensor(arrivals, amplitude.waveform_id)
        if arrival is None:
            lost.add(".".join(_codes(amplitude.waveform_id).values()))
            continue
        trace_mm = amplitude.generic_amplitude * TRACE_MM_PER_M
        arrival["amplitude_mm"] = max(trace_mm, arrival.get("amplitude_mm", 0.0))
        own[str(amplitude.resource_id)] = arrival
    for magnitude in event.station_magnitudes:
        _, _, pick_id = from_resource(magnitude.resource_id).partition("/")
        arrival = (
            by_pick.get(pick_id)
            or own.get(str(magnitude.amplitude_id))
            or _at_sensor(arrivals, magnitude.waveform_id)
        )
        if arrival is not None:
            arrival["station_magnitude"] = magnitude.mag
    return lost


def _at_sensor(arrivals: list[dict[str, Any]], waveform_id: Any) -> dict[str, Any] | None:
    where = _codes(waveform_id)
    same = [a for a in arrivals if all(a[k] == where[k] for k in ("network", "station", "location"))]
    return max(same, key=lambda a: a["phase"], default=None)


def _read_origin(event: Any, origin: Any) -> dict[str, Any]:
    quality, remarks = origin.quality, []
    row = {
        "time": as_time(origin.time),
        "time_uncertainty_s": _error(origin.time_errors),
        "latitude": origin.latitude,
        "longitude": origin.longitude,
        "depth_km": _float(origin.depth) / 1000.0,
        "depth_uncertainty_km": _error(origin.depth_errors) / 1000.0,
        "method": from_method(origin.method_id, origin.evaluation_mode),
        "velocity_model": from_resource(origin.earth_model_id),
    }
    if quality is not None:
        row |= {
            "rms_s": _float(quality.standard_error),
            "azimuthal_gap_deg": _float(quality.azimuthal_gap),
            "nearest_station_km": _float(quality.minimum_distance) * KM_PER_DEGREE,
            "n_station": quality.used_station_count or 0,
        }
    east_km = _error(origin.longitude_errors) * KM_PER_DEGREE * np.cos(np.radians(origin.latitude))
    north_km = _error(origin.latitude_errors) * KM_PER_DEGREE
    row |= {
        "cov_ee_km2": east_km**2,
        "cov_nn_km2": north_km**2,
        "cov_zz_km2": row["depth_uncertainty_km"] ** 2,
    }
    region = origin.origin_uncertainty
    if region is not None:
        row |= {
            "ellipse_major_km": _float(region.max_horizontal_uncertainty) / 1000.0,
            "ellipse_minor_km": _float(region.min_horizontal_uncertainty) / 1000.0,
            "ellipse_azimuth_deg": _float(region.azimuth_max_horizontal_uncertainty) % 360.0,
        }
        level = region.confidence_level
        if level is None and np.isfinite(row["ellipse_major_km"]):
            remarks.append("the source states no confidence level for the ellipse")
        elif level is not None:
            scale = np.sqrt(np.log(1 - LEVEL_PERCENT / 100.0) / np.log(1 - level / 100.0))
            row["ellipse_major_km"] *= scale
            row["ellipse_minor_km"] *= scale
            covariance = _read_ellipsoid(region.confidence_ellipsoid, level)
            if covariance and not _agree(covariance, row["ellipse_major_km"]):
                remarks.append("the source's ellipsoid contradicts its ellipse and is left out")
            else:
                row |= covariance
    if len(event.origins) > 1:
        remarks.append(f"one of {len(event.origins)} hypocentres of the source")
    return row | {"remark": "; ".join(remarks)}


def _read_ellipsoid(ellipsoid: Any, level_percent: float) -> dict[str, float]:
    if ellipsoid is None or ellipsoid.semi_major_axis_length is None:
        return {}
    covariance = Ellipsoid(
        ellipsoid.semi_major_axis_length / 1000.0,
        ellipsoid.semi_minor_axis_length / 1000.0,
        ellipsoid.semi_intermediate_axis_length / 1000.0,
        ellipsoid.major_axis_plunge,
        ellipsoid.major_axis_azimuth,
        ellipsoid.major_axis_rotation,
    ).covariance(level_percent=level_percent)
    return {f"cov_{n}_km2": float(v) for n, v in zip(COVARIANCE, covariance[np.triu_indices(3)])}


def _agree(covariance: dict[str, float], ellipse_major_km: float) -> bool:
    """Tell whether ellipsoid and ellipse are of one size; real catalogues mix units and scalings."""
    ee, en, nn = (covariance[f"cov_{n}_km2"] for n in ("ee", "en", "nn"))
    largest = np.linalg.eigvalsh([[ee, en], [en, nn]])[1]
    major_km = np.sqrt(largest * -2.0 * np.log(1 - LEVEL_PERCENT / 100.0))
    return not np.isfinite(ellipse_major_km) or bool(0.5 <= major_km / ellipse_major_km <= 2.0)


def _unlocated(picks: dict[str, dict[str, Any]]) -> dict[str, Any]:
    first = min(picks.values(), key=lambda p: (p["phase"] != "P", p["time"]))
    return {"time": first["time"], "quality": "unlocated"}


def _read_magnitude(event: Any) -> dict[str, Any]:
    magnitude = event.preferred_magnitude() or (event.magnitudes[0] if event.magnitudes else None)
    if magnitude is None or magnitude.mag is None:
        return {}
    return {
        "magnitude": magnitude.mag,
        "magnitude_type": magnitude.magnitude_type or "",
        "magnitude_uncertainty": _error(magnitude.mag_errors),
        "n_magnitude": magnitude.station_count or 0,
    }


def _codes(waveform_id: Any) -> dict[str, str]:
    names = ("network", "station", "location", "channel")
    return {n: getattr(waveform_id, f"{n}_code", None) or "" for n in names}


def _float(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _error(errors: Any) -> float:
    return _float(errors.uncertainty if errors else None)
