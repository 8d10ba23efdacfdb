"""The tables of forecasts: expected numbers in cells, and whole simulated catalogues."""

from __future__ import annotations

from kaname.core.tables import Column, Schema

FORECASTS = Schema(
    "forecasts",
    "How many earthquakes are expected in cells of space, magnitude and time.",
    (
        Column("longitude_min", "float", "western edge", "degree", required=True, low=-180, high=360),
        Column("longitude_max", "float", "eastern edge", "degree", required=True, low=-180, high=360),
        Column("latitude_min", "float", "southern edge", "degree", required=True, low=-90, high=90),
        Column("latitude_max", "float", "northern edge", "degree", required=True, low=-90, high=90),
        Column("depth_min_km", "float", "upper edge", "km", low=-10, high=800),
        Column("depth_max_km", "float", "lower edge", "km", low=-10, high=800),
        Column("magnitude_min", "float", "least magnitude", required=True, low=-5, high=11),
        Column("magnitude_max", "float", "magnitude up to which, missing: without end", low=-5, high=20),
        Column("start", "time", "beginning of the period, UTC"),
        Column("end", "time", "end of the period, UTC"),
        Column("expected", "float", "expected number of earthquakes", required=True, low=0),
        Column("probability", "float", "probability of one or more", low=0, high=1),
    ),
)

SIMULATIONS = Schema(
    "simulations",
    "Earthquakes of simulated catalogues; simulations without an earthquake have no row.",
    (
        Column("simulation", "int", "number of the simulated catalogue, from 0", required=True, low=0),
        Column("time", "time", "origin time, UTC", required=True),
        Column("longitude", "float", "WGS84 longitude", "degree", required=True, low=-180, high=360),
        Column("latitude", "float", "WGS84 latitude", "degree", required=True, low=-90, high=90),
        Column("depth_km", "float", "depth below sea level, positive down", "km", low=-10, high=800),
        Column("magnitude", "float", "magnitude", required=True, low=-5, high=11),
        Column("generation", "int", "0: background or of the history, 1: their aftershocks, ...", low=0),
    ),
)
