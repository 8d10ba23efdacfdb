"""Events, arrivals and picks to an ObsPy ``Catalog``, which is QuakeML 1.2.

QuakeML keeps microseconds, and distances in degrees (111.1949 km each). Amplitudes are ground displacement in
metres, as IASPEI defines ``AML``: the trace amplitude over the Wood-Anderson magnification of 2080.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from kaname.core.tables import ARRIVALS, EVENTS, PICKS, validate
from kaname.formats.ellipsoid import LEVEL_PERCENT, Ellipsoid
from kaname.formats.quakeml_identifiers import (
    EVENT_NOTES,
    PICK_NOTES,
    UNLOCATED_ARRIVAL_NOTES,
    UNLOCATED_EVENT_NOTES,
    evaluation_mode,
    to_comments,
    to_further,
    to_method,
    to_resource,
)
from kaname.signal.response import WOOD_ANDERSON_GAIN

KM_PER_DEGREE = 6371.0 * np.pi / 180.0
TRACE_MM_PER_M = 1000.0 * WOOD_ANDERSON_GAIN
"""Wood-Anderson trace amplitude over ground displacement."""
COVARIANCE = ("ee", "en", "ez", "nn", "nz", "zz")


def to_catalog(events: pd.DataFrame, arrivals: pd.DataFrame, picks: pd.DataFrame) -> Any:
    """Return an ObsPy ``Catalog`` of the events with the picks that are tied to them.

    An event without coordinates gets its picks but no origin. Picks of no event are left out, because QuakeML
    keeps picks inside events. Further columns of the events table stand in comments.

    Raises
    ------
    SchemaError
        When a table breaks its schema.
    """
    from obspy.core.event import Catalog

    events, arrivals, picks = validate(events, EVENTS), validate(arrivals, ARRIVALS), validate(picks, PICKS)
    by_event = dict(iter(arrivals.groupby("event_id", sort=False)))
    by_pick = {row.pick_id: row for row in picks.itertuples(index=False)}
    nothing = arrivals.iloc[:0]
    further = [to_further(row, EVENTS) for row in events.to_dict("records")]
    made = [
        _event(row, by_event.get(row.event_id, nothing), by_pick, notes)
        for row, notes in zip(events.itertuples(index=False), further, strict=True)
    ]
    return Catalog(events=made, resource_id=to_resource("catalogue", "catalogue"))


def _event(row: Any, arrivals: pd.DataFrame, picks: dict[str, Any], further: list[Any]) -> Any:
    from obspy.core import event as ev

    located = np.isfinite(row.latitude) and np.isfinite(row.longitude)
    origin = _origin(row) if located else None
    event = ev.Event(
        resource_id=to_resource("event", row.event_id),
        comments=to_comments(row, EVENT_NOTES if located else UNLOCATED_EVENT_NOTES) + further,
        creation_info=ev.CreationInfo(agency_id="kaname"),
    )
    for arrival in arrivals.itertuples(index=False):
        pick = _pick(arrival, picks.get(arrival.pick_id))
        event.picks.append(pick)
        if origin is not None:
            origin.arrivals.append(_arrival(arrival))
        else:
            pick.comments += to_comments(arrival, UNLOCATED_ARRIVAL_NOTES)
        _add_station_magnitude(event, arrival, row, origin)
    if origin is not None:
        event.origins.append(origin)
        event.preferred_origin_id = origin.resource_id
    if np.isfinite(row.magnitude):
        magnitude = ev.Magnitude(
            resource_id=to_resource("magnitude", row.event_id),
            mag=row.magnitude,
            mag_errors=_uncertain(row.magnitude_uncertainty),
            magnitude_type=row.magnitude_type or None,
            station_count=row.n_magnitude or None,
            origin_id=origin.resource_id if origin is not None else None,
            evaluation_mode=evaluation_mode(row.method),
            station_magnitude_contributions=[
                ev.StationMagnitudeContribution(station_magnitude_id=s.resource_id)
                for s in event.station_magnitudes
            ],
        )
        event.magnitudes.append(magnitude)
        event.preferred_magnitude_id = magnitude.resource_id
    return event


def _origin(row: Any) -> Any:
    from obspy.core import event as ev

    covariance = np.array([getattr(row, f"cov_{n}_km2") for n in COVARIANCE])
    ee, en, ez, nn, nz, zz = covariance
    degree_km = KM_PER_DEGREE * np.array([1.0, np.cos(np.radians(row.latitude))])
    uncertainty = ev.OriginUncertainty(
        max_horizontal_uncertainty=_metres(row.ellipse_major_km),
        min_horizontal_uncertainty=_metres(row.ellipse_minor_km),
        azimuth_max_horizontal_uncertainty=_known(row.ellipse_azimuth_deg),
        preferred_description="uncertainty ellipse" if np.isfinite(row.ellipse_major_km) else None,
        confidence_level=LEVEL_PERCENT,
    )
    if np.isfinite(covariance).all():
        ellipsoid = Ellipsoid.from_covariance(np.array([[ee, en, ez], [en, nn, nz], [ez, nz, zz]]))
        uncertainty.preferred_description = "confidence ellipsoid"
        uncertainty.confidence_ellipsoid = ev.ConfidenceEllipsoid(
            semi_major_axis_length=1000 * ellipsoid.major_km,
            semi_minor_axis_length=1000 * ellipsoid.minor_km,
            semi_intermediate_axis_length=1000 * ellipsoid.intermediate_km,
            major_axis_plunge=ellipsoid.plunge_deg,
            major_axis_azimuth=ellipsoid.azimuth_deg,
            major_axis_rotation=ellipsoid.rotation_deg,
        )
    return ev.Origin(
        resource_id=to_resource("origin", row.event_id),
        time=_utc(row.time),
        time_errors=_uncertain(row.time_uncertainty_s),
        latitude=row.latitude,
        latitude_errors=_uncertain(np.sqrt(nn) / degree_km[0]),
        longitude=(row.longitude + 180.0) % 360.0 - 180.0,
        longitude_errors=_uncertain(np.sqrt(ee) / degree_km[1]),
        depth=_metres(row.depth_km),
        depth_errors=_uncertain(1000.0 * row.depth_uncertainty_km),
        origin_uncertainty=uncertainty if uncertainty.preferred_description else None,
        quality=ev.OriginQuality(
            used_phase_count=row.n_p + row.n_s,
            used_station_count=row.n_station,
            standard_error=_known(row.rms_s),
            azimuthal_gap=_known(row.azimuthal_gap_deg),
            minimum_distance=_known(row.nearest_station_km / KM_PER_DEGREE),
        ),
        method_id=to_method(row.method) if row.method else None,
        earth_model_id=to_resource("velocity-model", row.velocity_model) if row.velocity_model else None,
        evaluation_mode=evaluation_mode(row.method),
    )


def _pick(arrival: Any, pick: Any) -> Any:
    from obspy.core import event as ev

    made = ev.Pick(
        resource_id=to_resource("pick", arrival.pick_id),
        time=_utc(arrival.time),
        time_errors=_uncertain(arrival.time_uncertainty_s),
        waveform_id=_waveform_id(arrival),
        phase_hint=arrival.phase,
    )
    if pick is not None:
        made.polarity = {"up": "positive", "down": "negative"}.get(pick.polarity)
        made.comments = to_comments(pick, PICK_NOTES)
        made.method_id = to_method(pick.method) if pick.method else None
        made.evaluation_mode = evaluation_mode(pick.method)
    return made


def _arrival(arrival: Any) -> Any:
    from obspy.core.event import Arrival

    return Arrival(
        resource_id=to_resource("arrival", f"{arrival.event_id}/{arrival.pick_id}"),
        pick_id=to_resource("pick", arrival.pick_id),
        phase=arrival.phase,
        time_residual=_known(arrival.residual_s),
        time_weight=_known(arrival.weight),
        distance=_known(arrival.distance_km / KM_PER_DEGREE),
        azimuth=_known(arrival.azimuth_deg),
        takeoff_angle=_known(arrival.takeoff_deg),
    )


def _add_station_magnitude(event: Any, arrival: Any, row: Any, origin: Any) -> None:
    from obspy.core import event as ev

    name = f"{arrival.event_id}/{arrival.pick_id}"
    amplitude = None
    if np.isfinite(arrival.amplitude_mm):
        amplitude = ev.Amplitude(
            resource_id=to_resource("amplitude", name),
            generic_amplitude=arrival.amplitude_mm / TRACE_MM_PER_M,
            type="AML",
            unit="m",
            pick_id=to_resource("pick", arrival.pick_id),
            waveform_id=_waveform_id(arrival),
        )
        event.amplitudes.append(amplitude)
    if np.isfinite(arrival.station_magnitude) and origin is not None:
        event.station_magnitudes.append(
            ev.StationMagnitude(
                resource_id=to_resource("station-magnitude", name),
                origin_id=origin.resource_id,
                mag=arrival.station_magnitude,
                station_magnitude_type=row.magnitude_type or None,
                amplitude_id=amplitude.resource_id if amplitude is not None else None,
                waveform_id=_waveform_id(arrival),
            )
        )


def _waveform_id(row: Any) -> Any:
    from obspy.core.event import WaveformStreamID

    return WaveformStreamID(row.network, row.station, row.location or None, row.channel or None)


def _utc(time: pd.Timestamp) -> Any:
    from obspy import UTCDateTime

    return UTCDateTime(ns=int(time.value))


def _uncertain(value: float) -> Any:
    from obspy.core.event import QuantityError

    return QuantityError(uncertainty=_known(value))


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _metres(value_km: float) -> float | None:
    return _known(1000.0 * value_km)
