"""Declared hazard: the files of the job, and the hazard that OpenQuake makes of them against our own sums."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree as xml

import numpy as np
import pandas as pd
import pytest
from tests.support.hazard_files import (
    AREA,
    CHARACTERISTIC,
    FAULT,
    RING,
    TRACE,
    exceedance,
    feature,
    forecast,
    write_declaration,
    write_sources,
)

from kaname.core.errors import FormatError, InputError, NotFoundError
from kaname.core.forecasts import FORECASTS
from kaname.core.geo import EARTH_RADIUS_KM, LocalFrame, arc
from kaname.core.hazard import HAZARD_CURVES
from kaname.core.shaking import GRAVITY_CM_S2
from kaname.core.tables import write_table
from kaname.earth.ruptures import Rupture, distances, rectangles
from kaname.modeling.ground_motion import get_model
from kaname.modeling.ground_motion.export import export_openquake
from kaname.modeling.hazard import classical
from kaname.modeling.hazard.classical import run, write_job
from kaname.modeling.hazard.declaration import load_calculation
from kaname.modeling.hazard.isolated import OpenQuakeError
from kaname.modeling.hazard.jobs import JobResult

NRML = "{http://openquake.org/xmlns/nrml/0.5}"
GML = "{http://www.opengis.net/gml}"


def numbers(text: str | None) -> np.ndarray:
    return np.array((text or "").split(), float)


def test_the_source_model_holds_the_declared_rates_and_places(tmp_path: Path) -> None:
    job = write_job(load_calculation(write_declaration(tmp_path)), tmp_path / "job")
    root = xml.parse(tmp_path / "job/sources_0.xml").getroot()
    groups = root.findall(f"{NRML}sourceModel/{NRML}sourceGroup")
    assert [g.get("tectonicRegion") for g in groups] == ["Active Shallow Crust"]
    sources = {node.get("name"): node for node in groups[0]}
    assert [s.properties.name for s in job.sources["both"]] == list(sources)
    rates = {name: numbers(node.find(f".//{NRML}occurRates").text) for name, node in sources.items()}  # type: ignore[union-attr]
    assert rates["zone"].sum() == pytest.approx(0.05, rel=1e-12)
    assert rates["whole"].tolist() == [0.002]
    law = sources["fault"].find(f"{NRML}incrementalMFD")
    assert law is not None
    magnitudes = float(law.get("minMag", "")) + float(law.get("binWidth", "")) * np.arange(15)
    moment = (rates["fault"] * 10 ** (1.5 * magnitudes + 9.1)).sum()
    assert moment == pytest.approx(30e9 * 77.81e3 * 15e3 * 2e-3, rel=1e-3)
    table = forecast()
    assert rates["grid"].sum() == pytest.approx(table.loc[table["magnitude_min"] >= 5, "expected"].sum() / 2)
    place = numbers(sources["grid"].find(f".//{GML}posList").text)  # type: ignore[union-attr]
    assert place.tolist() == pytest.approx([10.05, 45.05, 10.15, 45.05, 10.25, 45.05])
    assert int(sources["grid"].find(f".//{NRML}lengths").text) == len(rates["grid"]) / 3  # type: ignore
    ring = numbers(sources["zone"].find(f".//{GML}posList").text)  # type: ignore[union-attr]
    assert ring.tolist() == np.ravel(RING[:-1]).tolist()
    for name in ("fault", "whole"):
        assert numbers(sources[name].find(f".//{GML}posList").text).tolist() == np.ravel(TRACE).tolist()  # type: ignore
    planes = sources["zone"].findall(f"{NRML}nodalPlaneDist/{NRML}nodalPlane")
    assert [p.get("strike") for p in planes] == ["0.0"]
    depths = sources["zone"].findall(f"{NRML}hypoDepthDist/{NRML}hypoDepth")
    assert [(d.get("depth"), d.get("probability")) for d in depths] == [("8.0", "0.5"), ("12.0", "0.5")]


def test_logic_trees_and_job(tmp_path: Path) -> None:
    models = '[{name = "a", weight = 0.3, files = ["sources.geojson"]}, '
    models += '{name = "b", weight = 0.7, files = ["sources.geojson"]}]'
    apart = '{sites = ["B"], probability = 0.02}'
    path = write_declaration(tmp_path, source_models=models, disaggregation=apart)
    job = write_job(load_calculation(path), tmp_path / "job")
    tree = xml.parse(tmp_path / "job/source_tree.xml").getroot()
    assert [n.text for n in tree.iter(f"{NRML}uncertaintyModel")] == ["sources_0.xml", "sources_1.xml"]
    assert [n.text for n in tree.iter(f"{NRML}uncertaintyWeight")] == ["0.3", "0.7"]
    tree = xml.parse(tmp_path / "job/model_tree.xml").getroot()
    assert [n.text for n in tree.iter(f"{NRML}uncertaintyModel")] == ["BooreEtAl2014", "AkkarEtAlRjb2014"]
    text = job.classical.read_text()
    assert "'PGA': [0.01019716" in text and "'SA(1)': [" in text and "quantiles = 0.16 0.84" in text
    sites = pd.read_csv(tmp_path / "job/sites.csv")
    assert sites["vs30"].tolist() == [500, 800] and sites["z1pt0"].notna().all()
    assert job.disaggregation is not None
    assert pd.read_csv(tmp_path / "job/sites_disaggregation.csv")["custom_site_id"].tolist() == [1]


def test_sites_of_a_file_and_of_a_grid(tmp_path: Path) -> None:
    grid = "{bounds = [10.0, 45.0, 10.4, 45.2], spacing_degree = 0.2}"
    path = write_declaration(tmp_path, sites=f'{{file = "sites.csv", vs30_m_s = 800, grid = {grid}}}')
    job = write_job(load_calculation(path), tmp_path / "job")
    assert job.grid is not None and job.grid.shape == (2, 3)
    assert job.sites["site"].tolist() == ["A", "B", *[""] * 6]
    assert job.sites["vs30_m_s"].tolist() == [500, *[800] * 7]
    assert "z1pt0_m" not in job.sites


GOOD_SITES = "name,longitude,latitude,vs30_m_s\nA,10.5,45.5,500\n"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"levels": "{pga = [10.0, 5.0, 12]}"}, "levels of pga are lowest"),
        ({"levels": "{pgx = [1.0, 5.0, 12]}"}, "no measure 'pgx'"),
        ({"levels": "{si = [1.0, 5.0, 12]}"}, "OpenQuake has no si"),
        ({"levels": "{}"}, "no levels"),
        ({"probabilities": "[1.5]"}, "between 0 and 1"),
        ({"probability": "0.1"}, "did you mean"),
        ({"source_models": '[{name = "a"}]'}, "neither files nor smoothed"),
        ({"source_models": '[{name = "a", weight = 0.5, files = ["sources.geojson"]}]'}, "add up to 0.5"),
        ({"ground_motion": '[{tectonic_region = "stable", model = "X"}]'}, "'zone' is active_shallow"),
        ({"ground_motion": '[{tectonic_region = "stable", model = "X", weight = 0.5}]'}, "of stable add up"),
        ({"sites": "{vs30_m_s = 800}"}, "no sites"),
        ({"sites": '{file = "sites.csv"}'}, "1 of 2 sites have no Vs30"),
        ({"disaggregation": '{sites = ["C"], probability = 0.1}'}, "disaggregation at C"),
    ],
)  # fmt: skip
def test_declarations_that_are_refused(changes: dict[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        write_job(load_calculation(write_declaration(tmp_path, **changes)), tmp_path / "job")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,longitude\nA,10\n", "expected columns name, longitude, latitude"),
        ("name,longitude,latitude,vs30\nA,10,45,500\n", "found name, longitude, latitude, vs30"),
        ("name,longitude,latitude\nA,10,45\nA,10,46\n", "a name of its own"),
        ("name,longitude,latitude\nA,10,95\n", "row 1 is no place"),
        ("name,longitude,latitude\nA,ten,45\n", "holds text"),
        ("name,longitude,latitude\n", "no sites"),
        (GOOD_SITES.replace("500", "0"), "have no Vs30"),
        ("name,longitude,latitude,vs30_m_s,z1pt0_m\nA,10,45,500,30\nB,10,46,500,\n", "have no z1pt0_m"),
    ],
)
def test_sites_that_are_refused(text: str, said: str, tmp_path: Path) -> None:
    path = write_declaration(tmp_path, sites='{file = "sites.csv"}')
    (tmp_path / "sites.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        write_job(load_calculation(path), tmp_path / "job")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such configuration"):
        load_calculation(tmp_path / "hazard.toml")
    path = write_declaration(tmp_path)
    (tmp_path / "forecast.parquet").unlink()
    with pytest.raises(NotFoundError, match=r"forecast\.parquet"):
        write_job(load_calculation(path), tmp_path / "job")
    (tmp_path / "sites.csv").unlink()
    write_declaration(tmp_path)
    (tmp_path / "sites.csv").unlink()
    with pytest.raises(NotFoundError, match=r"sites\.csv"):
        write_job(load_calculation(path), tmp_path / "job")


def test_an_exported_model_must_be_for_what_it_is_asked(tmp_path: Path) -> None:
    export_openquake(get_model("boore_2014"), tmp_path, name="KanameBoore", tectonic_region="active_shallow",
                     measures=["pga"], fixed={"rake_deg": 0.0}, n_check=10)  # fmt: skip
    crust = '[{tectonic_region = "active_shallow", model = "KanameBoore.py"}]'
    with pytest.raises(InputError, match=r"was not exported for sa\(1\)"):
        load_calculation(write_declaration(tmp_path, ground_motion=crust))
    pga = {"levels": "{pga = [10.0, 1000.0, 5]}"}
    assert load_calculation(write_declaration(tmp_path, ground_motion=crust, **pga))
    with pytest.raises(InputError, match="exported for active_shallow, not for stable"):
        stable = crust.replace("active_shallow", "stable")
        load_calculation(write_declaration(tmp_path, ground_motion=stable, **pga))
    with pytest.raises(NotFoundError, match=r"no exported model .*Other\.py"):
        load_calculation(write_declaration(tmp_path, ground_motion=crust.replace("KanameBoore", "Other")))
    (tmp_path / "KanameBoore.npz").write_bytes(b"nothing")
    with pytest.raises(FormatError, match="no exported model"):
        load_calculation(write_declaration(tmp_path, ground_motion=crust, **pga))


def answer(n_level: int = 12) -> JobResult:
    """Return what OpenQuake gives for the two sites, in another order than asked."""
    sites = {"custom_site_id": [1, 0], "lon": [11.3, 10.5], "lat": [45.4, 45.5]}
    poes = {f"poe-{k:.7f}": [0.5 * 0.7**k, 0.4 * 0.7**k] for k in range(n_level)}
    names = [("hazard_{}-mean", 1.0), ("quantile_{}-0.16", 0.5), ("quantile_{}-0.84", 1.5)]
    tables = {}
    for pattern, factor in names:
        for measure in ("PGA", "SA(1.0)"):
            made = {name: np.array(poe) * factor for name, poe in poes.items()}
            tables[f"{pattern.format('curve')}-{measure}"] = pd.DataFrame({**sites, "depth": 0.0, **made})
        # At site 0 the curve of SA(1 s) does not reach 0.1, and that of PGA ends above 0.02.
        levels = {"PGA-0.1": [0.2, 0.1], "PGA-0.02": [0.5, 1500 / GRAVITY_CM_S2], "SA(1.0)-0.1": [0.1, 0.0],
                  "SA(1.0)-0.02": [0.3, 0.2]}  # fmt: skip
        tables[pattern.format("map")] = pd.DataFrame({**sites, **levels})
    return JobResult("test", "classical", tables, {})


def test_answers_of_openquake_become_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = write_job(load_calculation(write_declaration(tmp_path)), tmp_path / "job")
    monkeypatch.setattr(classical, "run_jobs", lambda *_, **__: answer())
    hazard = run(job)
    curve = hazard.curves[(hazard.curves["site"] == "A") & (hazard.curves["measure"] == "pga")]
    mean = curve[curve["statistic"] == "mean"]
    np.testing.assert_allclose(mean["level"], np.geomspace(10, 1500, 12))
    np.testing.assert_allclose(mean["probability"], 0.4 * 0.7 ** np.arange(12))
    np.testing.assert_allclose(mean["rate_per_year"], -np.log(1 - mean["probability"]) / 50)
    assert curve["statistic"].unique().tolist() == ["mean", "quantile_0.16", "quantile_0.84"]
    levels = hazard.levels[hazard.levels["statistic"] == "mean"].set_index(["site", "measure", "probability"])
    assert levels.loc[("B", "pga", 0.1), "level"] == pytest.approx(0.2 * GRAVITY_CM_S2)
    assert levels.loc[("A", "pga", 0.1), "level"] == pytest.approx(0.1 * GRAVITY_CM_S2)
    assert levels.loc[("B", "sa(1)", 0.02), "period_s"] == 1.0
    # Beyond the levels that were computed there is no answer, neither 0 nor the last of them.
    assert np.isnan(levels.loc[("A", "sa(1)", 0.1), "level"])
    assert np.isnan(levels.loc[("A", "pga", 0.02), "level"])
    assert hazard.disaggregation.empty


def test_an_answer_that_lacks_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = write_job(load_calculation(write_declaration(tmp_path)), tmp_path / "job")
    less = answer()
    del less.tables["hazard_curve-mean-PGA"]
    less.failed["hcurves"] = "the disk is full"
    monkeypatch.setattr(classical, "run_jobs", lambda *_, **__: less)
    with pytest.raises(FormatError, match=r"no hazard_curve-mean-PGA.*the disk is full"):
        run(job)


def test_the_example_is_whole(tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parents[3] / "examples/hazard", tmp_path / "example")
    # What the commands of docs/hazard.md make beforehand: a forecast and an exported model.
    table = forecast(edges=(3.995, 4.095, 4.195))
    write_table(table, tmp_path / "example/smoothed.parquet", FORECASTS)
    export_openquake(
        get_model("boore_2014"), tmp_path / "example/models", name="KanameRidgecrest", n_check=10,
        tectonic_region="active_shallow", measures=["pga", "sa(0.3)", "sa(1)"], fixed={"rake_deg": 0.0},
    )  # fmt: skip
    job = write_job(load_calculation(tmp_path / "example/hazard.toml"), tmp_path / "job")
    kinds = {name: [type(s).__name__ for s in mine] for name, mine in job.sources.items()}
    assert kinds == {"smoothed": ["Fault", "Smoothed"], "zone": ["Fault", "Area"]}
    assert len(job.sites) == 3 + 21 * 21


# What follows is integrated here, over magnitude and place, with our own model and distances.

SMALL_RING = [[10.0, 45.0], [10.4, 45.0], [10.4, 45.4], [10.0, 45.4]]
BOORE = '[{tectonic_region = "active_shallow", model = "BooreEtAl2014"}]'
ONE_SITE = "name,longitude,latitude,vs30_m_s\nA,{},{},760\n"
LEVELS = '{pga = [10.0, 1000.0, 9], "sa(1)" = [5.0, 500.0, 9]}'


def by_hand(
    rates: np.ndarray, magnitudes: np.ndarray, rjb_km: np.ndarray, share: np.ndarray, rake: float,
    measure: str, levels: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Return rates of exceedance: the sum over magnitudes and places (``rjb_km``, ``share`` by magnitude)."""
    model = get_model("boore_2014")
    total = np.zeros(len(levels))
    for m, rate, r, w in zip(magnitudes, rates, rjb_km, share):
        table = pd.DataFrame({"magnitude": m, "rjb_km": r, "vs30_m_s": 760.0, "rake_deg": rake})
        p = model.predict(table, measure)
        total += [rate * (w * exceedance(p.mean, p.sigma, level, 3.0)).sum() for level in levels]
    return total


def compare(curves: pd.DataFrame, expected: dict[str, np.ndarray], *, rtol: float) -> None:
    for measure, rate in expected.items():
        found = curves[curves["measure"] == measure]["rate_per_year"].to_numpy()
        seen = rate > 1e-6
        assert seen.sum() >= 5
        np.testing.assert_allclose(found[seen], rate[seen], rtol=rtol)


@pytest.mark.extra
@pytest.mark.slow
def test_area_against_an_integral_by_hand(openquake: str, tmp_path: Path) -> None:
    path = write_declaration(
        tmp_path, levels=LEVELS, ground_motion=BOORE, area_spacing_km="2.0", quantiles="[]",
        source_models='[{name = "area", files = ["sources.geojson"]}]', sites='{file = "sites.csv"}',
    )  # fmt: skip
    write_sources(tmp_path / "sources.geojson", feature(AREA, "Polygon", [SMALL_RING]))
    (tmp_path / "sites.csv").write_text(ONE_SITE.format(10.2, 45.1))
    job = write_job(load_calculation(path), tmp_path / "job")
    curves = run(job, python=openquake).curves
    # Points of the polygon on a fine grid, each with the share of the ground that it stands for.
    step = 0.4 * (np.arange(150) + 0.5) / 150
    lon, lat = np.meshgrid(10 + step, 45 + step)
    weight = np.cos(np.radians(lat)).ravel()
    east, north = LocalFrame(45.1, 10.2).to_local(lat.ravel(), lon.ravel())
    n = 40
    edges = np.linspace(5.0, 7.0, n + 1)
    rates = -np.diff(10 ** (-0.95 * edges))
    rates *= 0.05 / rates.sum()
    each = np.broadcast_to(np.hypot(east, north), (n, len(weight)))
    share = np.broadcast_to(weight / weight.sum(), each.shape)
    expected = {
        measure: by_hand(
            rates, (edges[1:] + edges[:-1]) / 2, each, share, 0.0, measure, levels(curves, measure)
        )
        for measure in ("pga", "sa(1)")
    }
    compare(curves, expected, rtol=0.02)


def levels(curves: pd.DataFrame, measure: str) -> np.ndarray:
    return curves[curves["measure"] == measure]["level"].to_numpy()


@pytest.mark.extra
@pytest.mark.slow
def test_smoothed_seismicity_against_a_sum_by_hand(openquake: str, tmp_path: Path) -> None:
    model = (
        '[{name = "grid", smoothed = [{name = "grid", tectonic_region = "active_shallow", upper_km = 0, '
        'lower_km = 15, forecast = "forecast.parquet", magnitude_min = 4.5, scaling = "point", '
        "mechanisms = [{strike_deg = 0, dip_deg = 90, rake_deg = 0, weight = 1}], "
        "depths = [{depth_km = 10, weight = 1}]}]}]"
    )
    path = write_declaration(
        tmp_path, levels=LEVELS, ground_motion=BOORE, quantiles="[]", source_models=model,
        sites='{file = "sites.csv"}',
    )  # fmt: skip
    (tmp_path / "sites.csv").write_text(ONE_SITE.format(10.2, 45.1))
    curves = run(write_job(load_calculation(path), tmp_path / "job"), python=openquake).curves
    table = forecast()
    middle = {axis: (table[f"{axis}_min"] + table[f"{axis}_max"]) / 2 for axis in ("latitude", "longitude")}
    # On the sphere, as OpenQuake has it: an ellipsoid makes 0.3 % of the distance, 0.8 % of the rarest rate.
    rjb = EARTH_RADIUS_KM * arc(45.1, 10.2, middle["latitude"], middle["longitude"])
    magnitudes = ((table["magnitude_min"] + table["magnitude_max"]) / 2).to_numpy()
    one = np.ones((len(table), 1))
    expected = {
        m: by_hand(table["expected"].to_numpy() / 2, magnitudes, rjb[:, None], one, 0.0, m, levels(curves, m))
        for m in ("pga", "sa(1)")
    }
    compare(curves, expected, rtol=0.005)


@pytest.mark.extra
@pytest.mark.slow
def test_faults_against_an_integral_by_hand(openquake: str, tmp_path: Path) -> None:
    found = {}
    for name, properties in (("floating", FAULT), ("whole", CHARACTERISTIC)):
        folder = tmp_path / name
        folder.mkdir()
        path = write_declaration(
            folder, levels=LEVELS, ground_motion=BOORE, quantiles="[]", rupture_spacing_km="1.0",
            source_models='[{name = "fault", files = ["sources.geojson"]}]', sites='{file = "sites.csv"}',
        )  # fmt: skip
        write_sources(folder / "sources.geojson", feature(properties, "LineString", TRACE))
        (folder / "sites.csv").write_text(ONE_SITE.format(11.3, 45.4))
        job = write_job(load_calculation(path), folder / "job")
        found[name] = run(job, python=openquake).curves
    # The whole surface: one rupture, and its own rate. The trace is where the fault would meet the ground.
    east = LocalFrame(45.1, 11.2).to_geographic(2 / np.tan(np.radians(60)), 0.0)[1]
    plane = rectangles(
        np.array([45.1]), np.array([east]), np.array([2.0]), strike_deg=0.0, dip_deg=60.0, length_km=77.81,
        width_km=12 / np.sin(np.radians(60)),
    )  # fmt: skip
    whole = Rupture((45.4, 11.2, 8.0), plane)
    rjb = distances(whole, [45.4], [11.3]).rjb_km
    one = np.ones((1, 1))
    expected = {
        m: by_hand(np.array([0.002]), np.array([6.8]), rjb[None], one, 90.0, m, levels(found["whole"], m))
        for m in ("pga", "sa(1)")
    }
    compare(found["whole"], expected, rtol=1e-4)
    # Parts that float along a vertical fault: the distance is that to a piece of its trace.
    edges = np.linspace(5.5, 7.0, 61)
    magnitudes = (edges[1:] + edges[:-1]) / 2
    rates = -np.diff(10 ** (-0.9 * edges))
    # The balance of moment is that of the declared bins of 0.1.
    coarse = np.linspace(5.5, 7.0, 16)
    share = -np.diff(10 ** (-0.9 * coarse))
    moment = (share * 10 ** (1.5 * (coarse[1:] + coarse[:-1]) / 2 + 9.1)).sum() / share.sum()
    rates *= 30e9 * 77.81e3 * 15e3 * 2e-3 / moment / rates.sum()
    # Area by Wells & Coppersmith (1994) for strike slip, as wide as long while the fault is deep enough.
    area = 10 ** (-3.42 + 0.90 * magnitudes)
    length = np.where(area < 15**2, np.sqrt(area), area / 15)
    begin = (np.arange(200) + 0.5) / 200 * (77.81 - length)[:, None]
    site_north = (45.4 - 45.1) / 0.7 * 77.81
    across = float(LocalFrame(45.4, 11.2).to_local(45.4, 11.3)[0])
    beyond = np.maximum(np.maximum(begin - site_north, site_north - begin - length[:, None]), 0)
    rjb = np.hypot(across, beyond)
    even = np.full(rjb.shape, 1 / 200)
    expected = {
        m: by_hand(rates, magnitudes, rjb, even, 0.0, m, levels(found["floating"], m))
        for m in ("pga", "sa(1)")
    }
    compare(found["floating"], expected, rtol=0.02)


@pytest.mark.extra
@pytest.mark.slow
def test_curves_maps_spectra_and_disaggregation_agree(openquake: str, tmp_path: Path) -> None:
    export_openquake(get_model("boore_2014"), tmp_path, name="KanameBoore", tectonic_region="active_shallow",
                     measures=["pga", "sa(1)"], n_check=10)  # fmt: skip
    branches = '[{tectonic_region = "active_shallow", model = "KanameBoore.py", weight = 0.6}, '
    branches += '{tectonic_region = "active_shallow", model = "AkkarEtAlRjb2014", weight = 0.4}]'
    path = write_declaration(
        tmp_path, ground_motion=branches, disaggregation='{sites = ["B"], probability = 0.02}',
        sites='{file = "sites.csv", vs30_m_s = 800, '
        "grid = {bounds = [10.0, 45.0, 10.4, 45.2], spacing_degree = 0.2}}",
    )  # fmt: skip
    hazard = run(write_job(load_calculation(path), tmp_path / "job"), python=openquake)
    curves = hazard.curves
    assert len(curves) == 8 * 2 * 12 * 3 and list(curves.columns) == list(HAZARD_CURVES.names)
    steps = curves.groupby(["longitude", "latitude", "statistic", "measure"])["probability"].diff().dropna()
    assert (steps <= 0).all()
    # A level of given probability is where the curve has that probability.
    for _, row in hazard.levels[hazard.levels["site"] == "B"].iterrows():
        own = curves[(curves["site"] == "B") & (curves["measure"] == row["measure"])]
        own = own[own["statistic"] == row["statistic"]]
        at = np.interp(np.log(row["level"]), np.log(own["level"]), np.log(own["probability"]))
        assert np.exp(at) == pytest.approx(row["probability"], rel=0.01)
    assert hazard.levels["return_period_years"].round().unique().tolist() == [475, 2475]
    apart = hazard.disaggregation
    assert apart.groupby("measure")["share"].sum().tolist() == pytest.approx([1, 1])
    mean = hazard.levels[(hazard.levels["statistic"] == "mean") & (hazard.levels["probability"] == 0.02)]
    for measure, part in apart.groupby("measure"):
        asked = mean[(mean["site"] == "B") & (mean["measure"] == measure)]["level"].iloc[0]
        assert part["level"].iloc[0] == pytest.approx(asked, rel=0.01)
    # B stands beside the fault: what is near makes its hazard.
    assert (apart["share"] * apart["distance_km"]).sum() / 2 < 40


@pytest.mark.extra
@pytest.mark.slow
def test_openquake_says_what_it_does_not_know(openquake: str, tmp_path: Path) -> None:
    unknown = '[{tectonic_region = "active_shallow", model = "NobodyEtAl1900"}]'
    job = write_job(load_calculation(write_declaration(tmp_path, ground_motion=unknown)), tmp_path / "job")
    with pytest.raises(OpenQuakeError, match="NobodyEtAl1900"):
        run(job, python=openquake)
