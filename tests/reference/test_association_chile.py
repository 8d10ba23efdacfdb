"""Association of the synthetic picks of PyOcto's example (northern Chile, 50 events) against the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kaname.automation.associate import AssociateSettings, associate
from kaname.core import tables
from kaname.earth.velocity import VelocityModel

SETTINGS = AssociateSettings(
    minimum_picks=10,
    minimum_s=3,
    tolerance_s=1.5,
    margin_km=100,
    maximum_depth_km=250,
    maximum_distance_km=600,
)


@pytest.fixture(scope="module")
def chile(shared_data: Path) -> tuple[pd.DataFrame, pd.DataFrame, VelocityModel]:
    folder = shared_data / "network" / "pyocto_chile"
    raw = pd.read_parquet(folder / "picks")
    place = pd.read_parquet(folder / "stations")
    layers = pd.read_csv(folder / "graeber.csv")
    names, codes = (frame.str.split(".", expand=True) for frame in (place["id"], raw["station"]))
    stations = tables.validate(
        pd.DataFrame(
            {
                "network": names[0],
                "station": names[1],
                "latitude": place["latitude"],
                "longitude": place["longitude"],
                "elevation_m": place["elevation"],
            }
        ),
        tables.STATIONS,
    )
    picks = tables.validate(
        pd.DataFrame(
            {
                "pick_id": [f"p{i}" for i in range(len(raw))],
                "network": codes[0],
                "station": codes[1],
                "phase": raw["phase"].str.upper(),
                "time": raw["time"],
                "truth": raw["event"],
            }
        ),
        tables.PICKS,
    )
    columns = (layers[c].to_numpy() for c in ("depth", "vp", "vs"))
    return picks, stations, VelocityModel("graeber", *columns, interpolation="linear")


def test_nearly_all_events_are_found_and_pure(
    chile: tuple[pd.DataFrame, pd.DataFrame, VelocityModel],
) -> None:
    picks, stations, model = chile
    assigned = associate(picks, stations, model, settings=SETTINGS).assigned
    truth = assigned.groupby("event_id")["truth"].agg(lambda t: t.mode()[0])
    purity = assigned.groupby("event_id")["truth"].agg(lambda t: (t == t.mode()[0]).mean())
    # Picks of truth -1 belong to no event; events with fewer picks than an event needs cannot be found.
    real = picks[picks["truth"] >= 0]
    possible = (real.groupby("truth").size() >= SETTINGS.minimum_picks).sum()
    assert truth.is_unique, "no event is reported twice"
    assert (truth >= 0).all(), "no event is made of noise"
    assert len(truth) >= 0.97 * possible
    assert purity.mean() >= 0.98
    assert (assigned["truth"] >= 0).sum() >= 0.95 * len(real)


def test_the_order_of_picks_does_not_matter(
    chile: tuple[pd.DataFrame, pd.DataFrame, VelocityModel],
) -> None:
    picks, stations, model = chile
    part = picks.head(300)
    one = associate(part, stations, model, settings=SETTINGS).assigned
    other = associate(
        part.sample(frac=1, random_state=3), stations.sample(frac=1, random_state=1), model, settings=SETTINGS
    ).assigned
    pd.testing.assert_frame_equal(one, other)
    assert len(one)


def test_random_picks_make_no_events(chile: tuple[pd.DataFrame, pd.DataFrame, VelocityModel]) -> None:
    picks, stations, model = chile
    random = np.random.default_rng(0)
    shuffled = picks.assign(
        time=picks["time"].min() + pd.to_timedelta(random.uniform(0, 2 * 86400, len(picks)), unit="s")
    )
    assert associate(shuffled, stations, model, settings=SETTINGS).assigned["event_id"].nunique() == 0


def test_stations_without_coordinates_are_reported_and_the_rest_goes_on(
    chile: tuple[pd.DataFrame, pd.DataFrame, VelocityModel],
) -> None:
    picks, stations, model = chile
    result = associate(picks.head(300), stations[stations["station"] != "PB01"], model, settings=SETTINGS)
    assert result.failures["subject"].tolist() == ["CX.PB01"]
    assert len(result.assigned)
    assert "PB01" not in set(result.assigned["station"])
