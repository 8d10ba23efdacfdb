"""Against pyCSEP, in an environment of its own: its shipped forecasts and results, and our files in it.

python -m venv peers && peers/bin/pip install pycsep
KANAME_PEERS=peers python -m pytest tests/discovery/seismicity/test_pycsep.py
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kaname.core.forecasts import SIMULATIONS
from kaname.core.tables import EVENTS, validate
from kaname.discovery.seismicity import csep_tests
from kaname.formats import csep

ORACLE = """
import sys, json, os, numpy as np, csep
from csep.utils import datasets
from csep.utils.time_utils import strptime_to_utc_datetime as when
from csep.core import poisson_evaluations as pe, catalog_evaluations as ce, regions
folder = sys.argv[1]
out = {"root": os.path.dirname(csep.__file__)}
for name in ("helmstetter_aftershock_fname", "helmstetter_mainshock_fname"):
    f = csep.load_gridded_forecast(getattr(datasets, name), start_date=when("2006-11-12 00:00:00.0"),
                                   end_date=when("2011-11-12 00:00:00.0"), name=name)
    c = csep.load_catalog(folder + "/seen.csv", type="csep-csv", region=f.region)
    c = c.filter_spatial(f.region)
    n = pe.number_test(f, c)
    row = {"sum": f.event_count, "n_event": c.event_count, "N": [n.quantile[0], n.quantile[1]]}
    for key, test in (("L", pe.likelihood_test), ("CL", pe.conditional_likelihood_test),
                      ("S", pe.spatial_test), ("M", pe.magnitude_test)):
        r = test(f, c, seed=1, num_simulations=1000)
        q = r.quantile
        row[key] = [float(r.observed_statistic), float(np.ravel(q)[-1])]
    out[name] = row
ours = lambda: csep.load_catalog_forecast(folder + "/ours.csv", type="ascii", n_cat=400, region=f.region)
cats = list(ours())
out["ours"] = [len(c.catalog) for c in cats]
one = cats[1]
out["first"] = [float(v[0]) for v in (one.get_longitudes(), one.get_latitudes(), one.get_magnitudes())]
r = ce.number_test(ours(), csep.load_catalog(folder + "/seen.csv", type="csep-csv"))
out["catalogue_N"] = [float(v) for v in r.quantile]
print("RESULT" + json.dumps(out))
"""


@pytest.fixture(scope="module")
def peer() -> Path:
    folder = os.environ.get("KANAME_PEERS")
    if not folder:
        pytest.skip("set KANAME_PEERS to an environment with pycsep")
    python = Path(folder).absolute() / "bin" / "python"
    if subprocess.run([python, "-c", "import csep"], capture_output=True, check=False).returncode:
        pytest.skip("the environment of KANAME_PEERS has no pycsep")
    return python


@pytest.fixture(scope="module")
def answers(peer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("csep")
    rng = np.random.default_rng(3)
    seen = pd.DataFrame(
        {
            "event_id": [f"e{k}" for k in range(31)],
            "time": pd.Timestamp("2007-01-01") + pd.to_timedelta(np.sort(rng.uniform(0, 1500, 31)), "D"),
            "longitude": rng.uniform(-122, -117, 31).round(4),
            "latitude": rng.uniform(34, 38, 31).round(4),
            "depth_km": 5.0,
            "magnitude": (4.97 + rng.exponential(0.4, 31)).round(2),
        }
    )
    seen = validate(seen.astype({"time": "datetime64[ns]"}), EVENTS)
    n = rng.poisson(25, 400)
    n[[0, 5, 399]] = 0
    number = np.repeat(np.arange(400), n)
    made = pd.DataFrame(
        {
            "simulation": number,
            "time": pd.Timestamp("2007-01-01") + pd.to_timedelta(rng.uniform(0, 7, n.sum()), "D"),
            "longitude": rng.uniform(-122, -117, n.sum()),
            "latitude": rng.uniform(34, 38, n.sum()),
            "magnitude": 5 + rng.exponential(0.4, n.sum()),
        }
    ).astype({"time": "datetime64[ns]"})
    made = validate(made.sort_values(["simulation", "time"], ignore_index=True), SIMULATIONS)
    csep.write_simulations(made, 400, folder / "ours.csv")
    one = seen.assign(simulation=0)[[c for c in SIMULATIONS.names if c in seen or c == "simulation"]]
    csep.write_simulations(one, 1, folder / "seen.csv")
    run = subprocess.run(
        [peer, "-c", ORACLE, str(folder)], capture_output=True, text=True, check=False, timeout=600
    )
    assert "RESULT" in run.stdout, run.stderr[-2000:]
    return seen, made, n, json.loads(run.stdout.split("RESULT")[1])


@pytest.mark.parametrize("name", ["aftershock", "mainshock"])
def test_the_shipped_gridded_forecasts_give_the_same_results(answers, name):
    seen, _, _, found = answers
    root, row = Path(found["root"]), found[f"helmstetter_{name}_fname"]
    file = {"aftershock": "hkj.aftershock-fromXML", "mainshock": "hkj-fromXML"}[name]
    grid = csep.read_grid(root / f"artifacts/ExampleForecasts/GriddedForecasts/helmstetter_et_al.{file}.dat")
    assert grid["expected"].sum() == pytest.approx(row["sum"], rel=1e-12)
    inside = csep_tests.within(seen, csep_tests.Cells(grid), 4.95)
    assert len(inside) == row["n_event"]
    tested = csep_tests.grid_tests(grid, inside, n=1000, seed=2)
    assert [tested["N"].at_least, tested["N"].at_most] == pytest.approx(row["N"], abs=1e-9)
    for key in ("L", "CL", "S", "M"):
        statistic, quantile = row[key]
        assert tested[key].observed == pytest.approx(statistic, rel=1e-8), key
        # Both are shares of 1,000 simulations: four standard errors of their difference.
        spread = 4 * np.sqrt(2 * max(quantile * (1 - quantile), 0.003) / 1000)
        assert tested[key].at_most == pytest.approx(quantile, abs=spread), key


def test_the_stored_results_follow_from_their_distributions(answers):
    files = sorted((Path(answers[3]["root"]) / "artifacts/ExampleResults/Poisson_l-test").glob("*.json"))
    assert len(files) == 7
    for file in files:
        stored = json.loads(file.read_text())
        values = np.array(stored["test_distribution"])
        below = csep_tests._tested("L", stored["observed_statistic"], values).at_most
        assert below == pytest.approx(stored["quantile"], abs=1.1 / len(values)), file.name


def test_our_simulated_catalogues_load_in_pycsep(answers):
    seen, made, n, found = answers
    assert found["ours"] == n.tolist()
    first = made[made["simulation"] == 1].iloc[0]
    assert found["first"] == pytest.approx([first.longitude, first.latitude, first.magnitude], abs=1e-4)
    tested = csep_tests._tested("N", len(seen), n)
    assert [tested.at_least, tested.at_most] == pytest.approx(found["catalogue_N"], abs=1e-12)


def test_the_shipped_catalogue_forecast_is_read_whole(answers):
    file = "artifacts/ExampleForecasts/CatalogForecasts/ucerf3-landers_1992-06-28T11-57-34-14.csv"
    table, n = csep.read_simulations(Path(answers[3]["root"]) / file)
    assert n == 10_000
    assert len(table) == 192_826
