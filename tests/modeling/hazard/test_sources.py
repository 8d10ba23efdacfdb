"""Sources of hazard: rates are those that were declared, and what is not fully declared is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.hazard_files import (
    AREA,
    CHARACTERISTIC,
    FAULT,
    RING,
    TRACE,
    feature,
    forecast,
    write_sources,
)

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.forecasts import FORECASTS
from kaname.core.tables import validate
from kaname.earth.moment import moment_nm
from kaname.modeling.hazard.magnitudes import gutenberg_richter, one_magnitude
from kaname.modeling.hazard.sources import SmoothedProperties, read_sources, smoothed, summary

GRID = SmoothedProperties.model_validate(
    {
        "name": "grid", "tectonic_region": "stable", "upper_km": 0, "lower_km": 15, "forecast": "x.parquet",
        "magnitude_min": 5.0, "mechanisms": AREA["mechanisms"], "depths": [{"depth_km": 10, "weight": 1}],
    }
)  # fmt: skip


@given(st.floats(3, 6), st.floats(0.05, 4), st.floats(0.4, 2), st.floats(0.02, 0.5), st.floats(1e-6, 100))
def test_bins_hold_the_rate_and_the_slope(
    low: float, span: float, b: float, width: float, rate: float
) -> None:
    m = gutenberg_richter(low, low + span, b, width=width, rate=rate)
    assert m.rates.sum() == pytest.approx(rate)
    assert m.first - m.width / 2 == pytest.approx(low)
    assert m.centres[-1] + m.width / 2 == pytest.approx(low + span)
    # The law itself, bin by bin: N(m) = N (10^-b(m-low) - 10^-b span) / (1 - 10^-b span).
    above = (10 ** (-b * (m.centres - m.width / 2 - low)) - 10 ** (-b * span)) / (1 - 10 ** (-b * span))
    np.testing.assert_allclose(m.rates[::-1].cumsum()[::-1], rate * above, rtol=1e-6)


def test_moments_add_up_to_what_the_fault_slips(tmp_path: Path) -> None:
    path = write_sources(tmp_path / "s.geojson", feature({**FAULT, "dip_deg": 45}, "LineString", TRACE))
    (fault,) = read_sources(path)
    # 0.7 degrees of meridian near 45.4 N are 77.81 km; the plane is 15 km / sin 45 wide.
    area_m2 = 77.81e3 * 15e3 / np.sin(np.pi / 4)
    assert fault.magnitudes(0.1).moment_rate == pytest.approx(30e9 * area_m2 * 2e-3, rel=1e-3)
    assert moment_nm(6.0) == pytest.approx(10**18.1)
    half = one_magnitude(7.0, moment_rate=moment_nm(7.0) / 250)
    assert half.rates.tolist() == pytest.approx([1 / 250])


def test_summary_says_what_every_source_amounts_to(tmp_path: Path) -> None:
    rows = list(summary(read_sources(write_sources(tmp_path / "s.geojson")), 0.1))
    assert [row["kind"] for row in rows] == ["area", "fault", "fault"]
    assert rows[0]["rate_per_year"] == pytest.approx(0.05)
    assert (rows[0]["magnitude_min"], rows[0]["magnitude_max"]) == pytest.approx((5.0, 7.0))
    assert rows[2]["rate_per_year"] == pytest.approx(0.002)


def wrong(properties: dict[str, Any], **changes: Any) -> dict[str, Any]:
    kept = {**properties, **changes}
    return {key: value for key, value in kept.items() if value is not ...}


@pytest.mark.parametrize(
    ("properties", "kind", "coordinates", "said"),
    [
        (wrong(AREA, rate_per_year=...), "Polygon", [RING], "rate_per_year"),
        (wrong(AREA, rate_per_year=-1.0), "Polygon", [RING], "rate_per_year"),
        (wrong(AREA, rates=1.0), "Polygon", [RING], "no such key"),
        (wrong(AREA, depths=[{"depth_km": 30, "weight": 1}]), "Polygon", [RING], "30 km is not between"),
        (wrong(AREA, depths=[{"depth_km": 10, "weight": 0.9}]), "Polygon", [RING], "depths add up to 0.9"),
        (wrong(AREA, upper_km=25), "Polygon", [RING], "must be above lower_km"),
        (AREA, "Polygon", [RING, RING], "holes"),
        (AREA, "MultiPolygon", [[RING]], "MultiPolygon"),
        (AREA, "Polygon", [RING[:2]], "4 or more places"),
        (AREA, "Polygon", [[[10, 45], [11, 95], [11, 46], [10, 45]]], "degrees"),
        (wrong(FAULT, rate_per_year=0.1), "LineString", TRACE, "either rate_per_year or slip_rate_mm_yr"),
        (wrong(FAULT, slip_rate_mm_yr=...), "LineString", TRACE, "either rate_per_year or slip_rate_mm_yr"),
        (wrong(FAULT, magnitude=6.5), "LineString", TRACE, "either magnitude, or magnitude_min"),
        (wrong(FAULT, b=...), "LineString", TRACE, "found magnitude_min, magnitude_max"),
        (wrong(CHARACTERISTIC, magnitude=...), "LineString", TRACE, "none of them"),
        (CHARACTERISTIC, "LineString", [["a", "b"], [1, 2]], "no numbers"),
    ],
)  # fmt: skip
def test_what_is_not_fully_declared(
    properties: dict[str, Any], kind: str, coordinates: Any, said: str, tmp_path: Path
) -> None:
    path = write_sources(tmp_path / "s.geojson", feature(properties, kind, coordinates))
    with pytest.raises(InputError, match=said) as caught:
        read_sources(path)
    assert properties["name"] in str(caught.value)


def test_the_ends_of_magnitude_must_be_in_order(tmp_path: Path) -> None:
    path = write_sources(tmp_path / "s.geojson", feature(wrong(AREA, magnitude_max=4.0), "Polygon", [RING]))
    with pytest.raises(InputError, match="below magnitude_max"):
        read_sources(path)[0].magnitudes(0.1)


def test_files_that_hold_no_sources(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        read_sources(tmp_path / "none.geojson")
    for text in ("{", '{"features": [1]}', json.dumps({"type": "Point"})):
        (tmp_path / "bad.geojson").write_text(text)
        with pytest.raises(FormatError, match="no GeoJSON"):
            read_sources(tmp_path / "bad.geojson")
    (tmp_path / "bad.geojson").write_text('{"features": []}')
    with pytest.raises(InputError, match="holds no source"):
        read_sources(tmp_path / "bad.geojson")


def test_a_forecast_becomes_rates_of_points() -> None:
    table = validate(forecast(), FORECASTS)
    found = smoothed(GRID, table)
    assert found.place.tolist() == pytest.approx(np.array([[10.05, 45.05], [10.15, 45.05], [10.25, 45.05]]))
    assert (found.first, found.width) == pytest.approx((5.25, 0.5))
    kept = table[table["magnitude_min"] >= 5]
    assert found.rates.sum() == pytest.approx(kept["expected"].sum() / 2)
    np.testing.assert_allclose(found.rates[1] / found.rates[0], 2)
    # The highest bin of CSEP's grids is open: it counts where it begins.
    opened = table.assign(magnitude_max=table["magnitude_max"].where(table["magnitude_min"] < 5.4))
    np.testing.assert_allclose(smoothed(GRID, opened).rates, found.rates)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.assign(start=pd.NaT), "one period"),
        (lambda t: t.assign(start=t["end"]), "ends before it starts"),
        (lambda t: t[t["magnitude_min"] < 5], "no bin at or above"),
        (lambda t: t.assign(magnitude_max=np.nan), "bins of magnitude of one width"),
        (lambda t: t.assign(magnitude_max=t["magnitude_max"] + 0.1), "of widths"),
        (lambda t: pd.concat([t, t]), "stands twice"),
        (lambda t: t.assign(expected=0.0), "nothing is expected"),
    ],
)
def test_forecasts_that_are_no_rates(change: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        smoothed(GRID, validate(change(forecast()), FORECASTS))
