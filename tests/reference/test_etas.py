"""ETAS against published answers: Ogata's program, EarthquakeNPP."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kaname.discovery.seismicity.background import Uniform
from kaname.discovery.seismicity.contract import Target
from kaname.discovery.seismicity.etas.likelihood import Likelihood
from kaname.discovery.seismicity.etas.model import Etas, KernelSettings
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


def test_italy_as_in_jalilian_2019(shared_data):
    # The R package ETAS, J. Stat. Softw. 88: their background counts each event in its own density, ours does
    # not; they project, we take great circles; rectangle and period are ours where the paper is silent.
    events = pd.read_csv(shared_data / "etas/r_etas/italy.quakes.csv")
    events = events.rename(columns={"long": "longitude", "lat": "latitude", "mag": "magnitude"})
    events["time"] = pd.to_datetime(events["date"] + " " + events["time"])
    events["event_id"] = events.index.astype(str)
    margin = 1e-6
    region = Region.from_bounds(
        events.longitude.min() - margin, events.longitude.max() + margin,
        events.latitude.min() - margin, events.latitude.max() + margin,
    )  # fmt: skip
    start, end = events["time"].min().to_numpy(), events["time"].max().to_numpy()
    target = Target(region, start, end + np.timedelta64(1, "ms"), 3.0)
    kernel = KernelSettings(neighbours=5, bandwidth_min_km=5.56, uniform=1e-4, rounds=8)
    fit = Etas(taper=False, kernel=kernel).fit(events, target)
    published = {
        "A": 0.2115,
        "c": 0.0123,
        "alpha": 1.5596,
        "p": 1.1688,
        "D": 1.3185,
        "q": 1.8895,
        "gamma": 0.9123,
    }
    found = fit.parameters_.ogata_zhuang()
    assert {k: found[k] for k in published} == pytest.approx(published, rel=0.07)
    assert fit.b_ * np.log(10) == pytest.approx(2.6333, abs=1e-4)
    with_itself = replace(fit.training_, density=fit.background_.density(events.longitude, events.latitude))
    theirs = EtasParameters.from_ogata_zhuang(mu=fit.parameters_.mu, **published)
    assert with_itself.log_likelihood(theirs) == pytest.approx(-23394.52, abs=8)
    assert fit.training_.log_likelihood(theirs) == pytest.approx(fit.maximum_.log_likelihood, abs=1)
