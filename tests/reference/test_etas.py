"""ETAS against published answers: Ogata's program, EarthquakeNPP."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from kaname.discovery.seismicity.background import Uniform
from kaname.discovery.seismicity.contract import Target
from kaname.discovery.seismicity.etas.likelihood import Likelihood
from kaname.discovery.seismicity.etas.parameters import EtasParameters
from kaname.discovery.seismicity.etas.temporal import fit_temporal
from kaname.discovery.seismicity.region import Region


@pytest.fixture(scope="module")
def miyagi(shared_data):
    table = pd.read_csv(shared_data / "etas/r_sapp/main2003JUL26.csv")
    return table[table.magnitude >= 2.5]


def test_ogatas_program_on_the_aftershocks_of_northern_miyagi(miyagi):
    # reference_etasap_output.txt: mu is held at 0, as Ogata's program ends there.
    fit = fit_temporal(
        miyagi.time, miyagi.magnitude, start=0.01, end=18.68, reference=6.2,
        first=(0, 10, 0.01, 1.8, 1.3), fixed=("mu",),
    )  # fmt: skip
    assert fit.n == 536
    assert -fit.log_likelihood == pytest.approx(-1806.160707, abs=2e-6)
    assert (fit.K, fit.c, fit.alpha, fit.p) == pytest.approx((69.8454, 0.0407613, 2.82634, 1.00244), rel=2e-5)


def test_ogatas_program_with_a_background(miyagi):
    fit = fit_temporal(miyagi.time, miyagi.magnitude, start=0.01, end=18.68, reference=6.2)
    assert -fit.log_likelihood == pytest.approx(-1806.309, abs=5e-4)
    found = (fit.mu, fit.K, fit.c, fit.alpha, fit.p)
    assert found == pytest.approx((1.18032, 68.41617, 0.04902759, 2.8196, 1.051735), rel=1e-5)
    # Transformed time ends at the number of events, as it must at the maximum.
    moved = fit.transformed_times(np.append(miyagi.time, 18.68), np.append(miyagi.magnitude, 2.5), 0.01)
    assert moved[-1] == pytest.approx(536, rel=1e-5)


def test_the_published_score_of_san_jacinto(shared_data):
    # EarthquakeNPP's own assumptions: magnitudes in bins of 0.1, sources within the region alone, aftershocks
    # counted over the whole plane, until the last event; what is triggered before the first one is left out.
    folder = shared_data / "etas/earthquakenpp"
    published = json.loads((folder / "sanjac_published_parameters.json").read_text())
    final = published["final_parameters"]
    p = EtasParameters(
        mu=10 ** final["log10_mu"] * published["area"], k0=10 ** final["log10_k0"], a=final["a"],
        c=10 ** final["log10_c"], omega=final["omega"], tau=10 ** final["log10_tau"],
        d=10 ** final["log10_d"], gamma=final["gamma"], rho=final["rho"],
    )  # fmt: skip
    events = pd.read_csv(folder / "QTM/SanJac_catalog.csv.gz").rename(columns={"index": "event_id"})
    events["time"] = pd.to_datetime(events["time"], format="ISO8601")
    events["magnitude"] = np.floor(events["magnitude"] / 0.1 + 0.5) * 0.1
    region = Region.read(folder / "QTM/SanJac_shape.npy")
    events = events[region.contains(events.longitude, events.latitude)]
    target = Target(region, "2016-01-01", "2018-01-01", 1.0, "2008-01-01")
    sources = target.sources(events)
    chosen = sources[sources.target]
    density = Uniform(region, published["area"]).density(chosen.longitude, chosen.latitude)
    made = Likelihood.of(sources, target, density, reference=1.0, within_region=False, radius_km=6378.1)
    rate, in_time = made.rates(p), made.rates_in_time(p)
    first, last = made.target[0], made.day[made.target[-1]]
    early = made.expected_by_source(p, end=made.day[first])[:first].sum()
    expected = p.mu * last + made.expected_by_source(p, end=last).sum() - early
    assert len(rate) == 4399
    assert np.log(in_time).mean() - expected / len(rate) == pytest.approx(1.132526, abs=1e-5)
    assert np.log(rate / in_time).mean() == pytest.approx(-5.398118, abs=1e-5)
