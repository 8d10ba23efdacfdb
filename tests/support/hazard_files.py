"""A small declared hazard calculation: an area, two faults, a smoothed grid, and the files that hold them."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kaname.core.forecasts import FORECASTS
from kaname.core.tables import write_table

STRIKE_SLIP = {"strike_deg": 0, "dip_deg": 90, "rake_deg": 0, "weight": 1}
AREA: dict[str, Any] = {
    "name": "zone", "tectonic_region": "active_shallow", "upper_km": 0, "lower_km": 20, "magnitude_min": 5.0,
    "magnitude_max": 7.0, "b": 0.95, "rate_per_year": 0.05, "scaling": "point", "mechanisms": [STRIKE_SLIP],
    "depths": [{"depth_km": 8, "weight": 0.5}, {"depth_km": 12, "weight": 0.5}],
}  # fmt: skip
FAULT: dict[str, Any] = {
    "name": "fault", "tectonic_region": "active_shallow", "upper_km": 0, "lower_km": 15, "dip_deg": 90,
    "rake_deg": 0, "magnitude_min": 5.5, "magnitude_max": 7.0, "b": 0.9, "slip_rate_mm_yr": 2.0,
}  # fmt: skip
CHARACTERISTIC: dict[str, Any] = {
    "name": "whole", "tectonic_region": "active_shallow", "upper_km": 2, "lower_km": 14, "dip_deg": 60,
    "rake_deg": 90, "magnitude": 6.8, "rate_per_year": 0.002,
}  # fmt: skip
RING = [[10.0, 45.0], [11.0, 45.0], [11.0, 46.0], [10.0, 46.0], [10.0, 45.0]]
TRACE = [[11.2, 45.1], [11.2, 45.8]]


def feature(properties: dict[str, Any], kind: str, coordinates: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": kind, "coordinates": coordinates},
    }


def write_sources(path: Path, *features: dict[str, Any]) -> Path:
    chosen = features or (
        feature(AREA, "Polygon", [RING]),
        feature(FAULT, "LineString", TRACE),
        feature(CHARACTERISTIC, "LineString", TRACE),
    )
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(chosen)}))
    return path


def forecast(n: int = 3, edges: tuple[float, ...] = (4.5, 5.0, 5.5, 6.0), years: float = 2.0) -> pd.DataFrame:
    """Return a FORECASTS table of n cells; expected numbers are all different."""
    start = pd.Timestamp("2020-01-01")
    rows = [
        {
            "longitude_min": 10 + 0.1 * i, "longitude_max": 10.1 + 0.1 * i, "latitude_min": 45.0,
            "latitude_max": 45.1, "magnitude_min": low, "magnitude_max": high, "start": start,
            "end": start + pd.Timedelta(days=365.25 * years), "expected": 0.01 * (1 + i) * 10 ** (4.5 - low),
        }
        for i in range(n)
        for low, high in pairwise(edges)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def write_declaration(folder: Path, **changes: str) -> Path:
    """Write a calculation with all kinds of sources; ``changes`` replace lines by their key."""
    write_sources(folder / "sources.geojson")
    write_table(forecast(), folder / "forecast.parquet", FORECASTS)
    (folder / "sites.csv").write_text("name,longitude,latitude,vs30_m_s\nA,10.5,45.5,500\nB,11.3,45.4,\n")
    lines = {
        "name": '"test"',
        "levels": '{pga = [10.0, 1500.0, 12], "sa(1)" = [5.0, 1000.0, 12]}',
        "probabilities": "[0.1, 0.02]",
        "quantiles": "[0.16, 0.84]",
        "area_spacing_km": "10.0",
        "source_models": '[{name = "both", files = ["sources.geojson"], smoothed = [{name = "grid", '
        'tectonic_region = "active_shallow", upper_km = 0, lower_km = 15, forecast = "forecast.parquet", '
        "magnitude_min = 5.0, mechanisms = [{strike_deg = 0, dip_deg = 90, rake_deg = 0, weight = 1}], "
        "depths = [{depth_km = 10, weight = 1}]}]}]",
        "ground_motion": '[{tectonic_region = "active_shallow", model = "BooreEtAl2014", weight = 0.6}, '
        '{tectonic_region = "active_shallow", model = "AkkarEtAlRjb2014", weight = 0.4}]',
        "sites": '{file = "sites.csv", vs30_m_s = 800, basin = "california"}',
    }
    path = folder / "hazard.toml"
    path.write_text("\n".join(f"{key} = {value}" for key, value in {**lines, **changes}.items()))
    return path


def exceedance(mean: Any, sigma: Any, level: float, truncation: float) -> np.ndarray:
    """Return the probability of more than a level: a normal of the logarithm, cut off on both sides."""
    from scipy.stats import truncnorm

    return np.asarray(truncnorm.sf((np.log(level) - mean) / sigma, -truncation, truncation))
