"""The tables of probabilistic hazard: curves, levels of given probability, and what makes them."""

from __future__ import annotations

from kaname.core.tables import Column, Schema

_WHERE = (
    Column("site", "string", "name of the site; empty: a point of the grid"),
    Column("longitude", "float", "WGS84 longitude", "degree", required=True, low=-180, high=360),
    Column("latitude", "float", "WGS84 latitude", "degree", required=True, low=-90, high=90),
    Column("vs30_m_s", "float", "mean shear velocity of the upper 30 m", "m/s", low=0),
)
_STATISTIC = Column(
    "statistic", "string", "over the logic tree: mean, or a quantile such as quantile_0.84", required=True
)
_MEASURE = Column("measure", "string", "measure of shaking, such as pga or sa(0.3)", required=True)
_UNIT = "cm/s2 or cm/s"
_LEVEL = Column("level", "float", "of the measure, in its unit", _UNIT, required=True, low=0)

HAZARD_CURVES = Schema(
    "hazard_curves",
    "How likely shaking is to exceed each level at a site.",
    (
        *_WHERE,
        _STATISTIC,
        _MEASURE,
        _LEVEL,
        Column("years", "float", "time the probability is for", "year", required=True, low=0),
        Column("probability", "float", "of one or more exceedances", required=True, low=0, high=1),
        Column(
            "rate_per_year", "float", "-ln(1 - probability) / years; missing where that is 1", "1/year", low=0
        ),
    ),
)

HAZARD_LEVELS = Schema(
    "hazard_levels",
    "Level exceeded with a given probability: maps by measure, uniform hazard spectra by site.",
    (
        *_WHERE,
        _STATISTIC,
        _MEASURE,
        Column("period_s", "float", "period of the measure, 0 for pga; missing: not of the spectrum", "s"),
        Column("years", "float", "time the probability is for", "year", required=True, low=0),
        Column("probability", "float", "of one or more exceedances", required=True, low=0, high=1),
        Column("return_period_years", "float", "-years / ln(1 - probability)", "year", required=True, low=0),
        Column("level", "float", "missing: below or above all levels that were computed", _UNIT, low=0),
    ),
)

DISAGGREGATION = Schema(
    "disaggregation",
    "Which earthquakes exceed a level at a site: shares of the mean rate of exceedance.",
    (
        *_WHERE,
        _MEASURE,
        _LEVEL,
        Column("probability", "float", "of exceeding the level", required=True, low=0, high=1),
        Column("tectonic_region", "string", "where the earthquakes are", required=True),
        Column("magnitude", "float", "middle of the bin of magnitude", required=True, low=-5, high=11),
        Column("distance_km", "float", "middle of the bin of distance to the rupture", "km", required=True),
        Column("epsilon", "float", "middle of the bin of standard deviations", required=True),
        Column("share", "float", "of the rate of exceedance", required=True, low=0, high=1),
    ),
)
