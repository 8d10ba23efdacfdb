"""Location against NonLinLoc's own sample results, with its phases, stations, models and error terms.

Ventimiglia 1995 (5 events, 8 to 15 phases, layered model of the control file): an honest comparison of the
two posteriors. Anchorage 2018 (7 events): two are well recorded; the other five are picks in the coda of the
M7.0 that fit nothing well (NonLinLoc: residuals near 1 s, depth at the top of its grid), so the two programs
choose between the same bad alternatives. See docs/location.md for the table.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kaname.automation.locate import LocateSettings, locate
from kaname.core.geo import distance_azimuth
from kaname.earth.velocity import VelocityModel, named_model
from kaname.formats.nonlinloc import NonLinLocRead, read_nonlinloc

VP_VS = 1.68  # LOCMETH of both samples


@pytest.fixture(scope="module")
def samples(shared_data: Path) -> Path:
    return shared_data / "network" / "nonlinloc_samples"


def compared(sample: NonLinLocRead, model: VelocityModel, settings: LocateSettings) -> pd.DataFrame:
    """Our events, with the distance to the expectation hypocentres of NonLinLoc."""
    used = sample.arrivals[sample.arrivals["weight"] > 0]
    events = locate(used, sample.stations, model, settings=settings).events
    assert list(events["event_id"]) == list(sample.events["event_id"])
    distance, _ = distance_azimuth(
        events["latitude"],
        events["longitude"],
        sample.events["expectation_latitude"],
        sample.events["expectation_longitude"],
    )
    deeper = events["depth_km"] - sample.events["expectation_depth_km"]
    return events.assign(apart_km=distance, deeper_km=deeper, their_rms_s=sample.events["rms_s"])


def test_ventimiglia(samples: Path) -> None:
    folder = samples / "www_beta" / "nlloc_sample"
    sample = read_nonlinloc(folder / "original_output" / "loc" / "vinti.hyp.gz")
    assert len(sample.events) == 5
    assert len(sample.failures) == 49  # phases of stations that the sample gives no place
    assert sample.stations.set_index("station").loc["NEGI", "p_correction_s"] == 0.04
    model = VelocityModel.read(folder / "run" / "nlloc_sample.in", vp_vs=VP_VS)
    settings = LocateSettings(minimum_depth_km=0, maximum_depth_km=20, model_error_fraction=0.01)
    events = compared(sample, model, settings)
    # Measured 0.3 km and 0.2 km.
    assert events["apart_km"].median() < 0.6
    assert events["deeper_km"].abs().median() < 0.6
    assert (events["apart_km"] < 1.5 * events["ellipse_major_km"]).all()
    # Their posterior is as deep as ours is wide: the same data, two likelihoods.
    ratio = events["cov_zz_km2"] / sample.events["cov_zz_km2"]
    assert 0.1 < ratio.median() < 1.5


def test_anchorage(samples: Path) -> None:
    sample = read_nonlinloc(samples / "nlloc_sample" / "original_output" / "alaska.hyp.gz")
    assert (len(sample.events), len(sample.arrivals), len(sample.stations)) == (7, 265, 64)
    published = named_model("scak")
    model = VelocityModel(
        "scak, Vp/Vs 1.68", published.depth_km, published.vp_km_s, published.vp_km_s / VP_VS
    )
    events = compared(sample, model, LocateSettings(minimum_depth_km=-5))
    good = events["their_rms_s"] < 0.5
    assert good.sum() == 2
    # Measured 0.3 km and 0.6 km at most.
    assert events.loc[good, "apart_km"].max() < 0.6
    assert events.loc[good, "deeper_km"].abs().max() < 1.5
    assert events.loc[good, "quality"].isin(["A", "B"]).all()
    # Measured 2.1 km and 1.3 km over all seven.
    assert events["apart_km"].median() < 4
    assert events["deeper_km"].abs().median() < 4
    assert not (events.loc[~good, "quality"] == "A").any()


def test_station_places_come_back_from_the_projection(samples: Path) -> None:
    folder = samples / "nlloc_sample" / "original_output"
    stations = read_nonlinloc(folder / "alaska.hyp.gz").stations.set_index("station")
    listed = pd.read_csv(folder / "alaska.sum.grid0.loc.stations", sep=r"\s+", index_col="Label")
    both = stations.index.intersection(listed.index)
    assert len(both) > 60
    for column, name in (("latitude", "lat"), ("longitude", "lon")):
        assert np.abs(stations.loc[both, column] - listed.loc[both, name]).max() < 2e-4
    assert np.allclose(stations.loc[both, "elevation_m"], -1000 * listed.loc[both, "depth"], atol=0.2)


def test_our_travel_times_are_theirs(samples: Path) -> None:
    """Residuals at NonLinLoc's hypocentres, with our times in place of its finite-difference grids."""
    from kaname.earth.traveltime import travel_time

    sample = read_nonlinloc(samples / "nlloc_sample" / "original_output" / "alaska.hyp.gz")
    events = sample.events.set_index("event_id")
    used = sample.arrivals[(sample.arrivals["weight"] > 0) & (sample.arrivals["phase"] == "P")]
    where = sample.stations.set_index("station").loc[used["station"]]
    origin = events.loc[used["event_id"]]
    distance, _ = distance_azimuth(
        *(f[c].to_numpy() for f in (origin, where) for c in ("latitude", "longitude"))
    )
    ours, _ = travel_time(
        named_model("scak"),
        distance,
        origin["depth_km"].to_numpy(),
        phase="P",
        sensor_depth_km=-where["elevation_m"].to_numpy() / 1000,
    )
    observed = (used["time"].to_numpy() - origin["time"].to_numpy()) / np.timedelta64(1, "s")
    theirs = observed - used["residual_s"].to_numpy()
    assert np.median(np.abs(ours - theirs)) < 0.05
    assert np.quantile(np.abs(ours - theirs), 0.95) < 0.25
