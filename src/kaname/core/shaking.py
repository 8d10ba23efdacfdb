"""The table of ground motions, and how its measures are named.

A measure of shaking has a name (``pga``, ``pgv``, ``sa(0.3)``, ``intensity_jma``) and a column that
carries its unit (``pga_cm_s2``, ``pgv_cm_s``, ``sa_0_300_cm_s2``, ``intensity_jma``); models predict its
natural logarithm in that unit. Accelerations are in cm/s2 (gal) everywhere inside; g, %g and m/s2 live
only in readers and writers.
"""

from __future__ import annotations

import re

from kaname.core.errors import InputError
from kaname.core.tables import Column, Schema

GRAVITY_CM_S2 = 980.665
"""Standard gravity, exact (CGPM 1901)."""

PERIODS_S = (
    0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5,
    0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0,
)  # fmt: skip
"""Periods of the spectral accelerations in the table [s]; finer spectra are a table of their own."""

_UNITS = {
    "pga": "cm/s2",
    "pgv": "cm/s",
    "pgd": "cm",
    "arias": "cm/s",
    "cav": "cm/s",
    "si": "cm",
    "d5_75": "s",
    "d5_95": "s",
    "intensity_jma": "",
}
_MEANINGS = {
    "pga": "peak ground acceleration",
    "pgv": "peak ground velocity",
    "pgd": "peak ground displacement",
    "arias": "Arias intensity",
    "cav": "cumulative absolute velocity",
    "si": "Housner spectrum intensity: 5 % damped velocity response integrated from 0.1 to 2.5 s",
    "d5_75": "significant duration, 5 to 75 % of Arias intensity",
    "d5_95": "significant duration, 5 to 95 % of Arias intensity",
    "intensity_jma": "JMA instrumental intensity of the three components",
}
_SPECTRAL = re.compile(r"sa\((\d+(?:\.\d+)?)\)")


def period_of(measure: str) -> float | None:
    """Return the period [s] of a spectral acceleration, None for other measures.

    Raises
    ------
    InputError
        When there is no such measure.
    """
    match = _SPECTRAL.fullmatch(measure)
    if match and float(match[1]) > 0:
        return float(match[1])
    if measure in _UNITS:
        return None
    raise InputError(f"no measure {measure!r}; known are {', '.join(_UNITS)} and sa(PERIOD), such as sa(0.3)")


def unit_of(measure: str) -> str:
    """Return the unit of a measure; errors as `period_of`."""
    return "cm/s2" if period_of(measure) else _UNITS[measure]


def column_of(measure: str) -> str:
    """Return the column that holds a measure, such as ``sa_0_300_cm_s2``; errors as `period_of`."""
    period = period_of(measure)
    stem = measure if period is None else f"sa_{period:.3f}".replace(".", "_")
    unit = unit_of(measure).replace("/", "_")
    return f"{stem}_{unit}" if unit else stem


def _measure(name: str) -> Column:
    period = period_of(name)
    meaning = _MEANINGS[name] if period is None else f"spectral acceleration at {period} s, 5 % damping"
    return Column(column_of(name), "float", meaning, unit_of(name), low=-10 if name == "intensity_jma" else 0)


MEASURES = (*_UNITS, *(f"sa({period:g})" for period in PERIODS_S))

GROUND_MOTIONS = Schema(
    "ground_motions",
    "One earthquake as one sensor felt it: source, path, site, and measures of the shaking.",
    (
        Column("record_id", "string", "unique identifier of the record", required=True),
        Column("event_id", "string", "earthquake; one identifier whatever feeds it came by", required=True),
        Column("network", "string", "network code; empty when the source states none"),
        Column("station", "string", "station code"),
        Column("location", "string", "location code"),
        Column("site_id", "string", "place: sensors of any network closer than 1 km that record one ground"),
        Column("event_time", "time", "origin time, UTC"),
        Column("event_latitude", "float", "WGS84 latitude of the epicentre", "degree", low=-90, high=90),
        Column("event_longitude", "float", "WGS84 longitude of the epicentre", "degree", low=-180, high=360),
        Column("event_depth_km", "float", "depth of the hypocentre, positive down", "km", low=-10, high=800),
        Column("magnitude", "float", "preferred magnitude, moment magnitude where known", low=-5, high=11),
        Column("magnitude_type", "string", "type of the magnitude"),
        Column("strike_deg", "float", "strike of the rupture", "degree", low=0, high=360),
        Column("dip_deg", "float", "dip of the rupture", "degree", low=0, high=90),
        Column("rake_deg", "float", "rake of the slip", "degree", low=-180, high=180),
        Column("ztor_km", "float", "depth of the top of the rupture", "km", low=-10, high=800),
        Column(
            "tectonic_region",
            "string",
            "where the earthquake was",
            choices=("", "active_shallow", "subduction_interface", "subduction_slab", "stable", "volcanic"),
        ),
        Column("source_model", "string", "point, or the finite rupture that distances were measured from"),
        Column("latitude", "float", "WGS84 latitude of the station", "degree", low=-90, high=90),
        Column("longitude", "float", "WGS84 longitude of the station", "degree", low=-180, high=360),
        Column("elevation_m", "float", "ground elevation above sea level", "m", low=-12000, high=9000),
        Column("sensor_depth_m", "float", "depth of the sensor below ground", "m", low=-100, high=10000),
        Column("vs30_m_s", "float", "mean shear velocity of the upper 30 m", "m/s", low=0),
        Column("vs30_measured", "bool", "whether Vs30 was measured at the site; else it was inferred"),
        Column("z1pt0_m", "float", "depth to a shear velocity of 1.0 km/s", "m", low=0),
        Column("z1pt0_inferred", "bool", "whether that was inferred from Vs30; else the source states it"),
        Column("z2pt5_km", "float", "depth to a shear velocity of 2.5 km/s", "km", low=0),
        Column("z2pt5_inferred", "bool", "whether that was inferred from Vs30; else the source states it"),
        Column("repi_km", "float", "epicentral distance", "km", low=0),
        Column("rhypo_km", "float", "hypocentral distance", "km", low=0),
        Column("rjb_km", "float", "distance to the surface projection of the rupture", "km", low=0),
        Column("rrup_km", "float", "distance to the rupture", "km", low=0),
        Column(
            "rx_km",
            "float",
            "distance across the strike of the top edge, positive over the hanging wall",
            "km",
        ),
        Column("azimuth_deg", "float", "azimuth, epicentre to station", "degree", low=0, high=360),
        Column(
            "component",
            "string",
            "what the horizontal measures are of",
            choices=("", "rotd50", "rotd100", "geometric_mean", "larger", "unknown"),
        ),
        *(_measure(name) for name in MEASURES),
        Column("corner_low_hz", "float", "high-pass corner of the processing", "Hz", low=0),
        Column("corner_high_hz", "float", "low-pass corner of the processing", "Hz", low=0),
        Column("longest_period_s", "float", "longest period at which spectra are to be trusted", "s", low=0),
        Column("quality", "string", "used, or rejected", choices=("", "used", "rejected")),
        Column("reason", "string", "why a record was rejected, or what a reader must know"),
        Column("duplicate_of", "string", "record_id that says the same and stands for this one"),
        Column("source", "string", "file or table the record came from"),
        Column("licence", "string", "licence of the source, as far as it is stated"),
    ),
    key=("record_id",),
)
