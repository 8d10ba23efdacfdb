"""Every planted leak is found, and an honest split passes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kaname.core.errors import InputError, SchemaError
from kaname.evaluate.audit import (
    audit_ground_motions,
    duplicates,
    forbid,
    influence,
    normalisation,
    sites,
)
from kaname.evaluate.splits import blocks, folds, split_by_block


def _records(n_event: int = 12, n_station: int = 30, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    event, station = np.divmod(np.arange(n_event * n_station), n_station)
    place = rng.uniform([34, 135], [40, 141], (n_station, 2))
    return pd.DataFrame(
        {
            "event_id": [f"e{k}" for k in event],
            "event_time": np.datetime64("2020-01-01", "ns") + event * np.timedelta64(1, "D"),
            "latitude": place[station, 0],
            "longitude": place[station, 1],
            "pga_cm_s2": np.exp(rng.normal(size=event.size)),
            "rrup_km": rng.uniform(5, 200, event.size),
            "vs30_m_s": rng.uniform(150, 900, n_station)[station],
        }
    )


def _parts(records: pd.DataFrame) -> np.ndarray:
    event = records["event_id"].str[1:].astype(int)
    return np.where(event % 3 == 0, "test", "train")


def _found(leaks: pd.DataFrame) -> set[str]:
    return set(leaks.loc[leaks["forbidden"] & (leaks["n"] > 0), "kind"])


def test_an_honest_split_passes() -> None:
    records = _records()
    leaks = audit_ground_motions(
        records, _parts(records), "event", measures=["pga_cm_s2"], features=["rrup_km"]
    )
    assert _found(leaks) == set()
    forbid(leaks)
    # Events held out share stations with the others: reported, not forbidden.
    assert leaks.set_index("kind").loc["the same station", "n"] == 30


def test_rows_dealt_out_share_events() -> None:
    records = _records()
    parts = np.where(np.arange(len(records)) % 3 == 0, "test", "train")
    leaks = audit_ground_motions(records, parts, "event", measures=["pga_cm_s2"])
    assert "the same event" in _found(leaks)
    with pytest.raises(InputError, match="the same event"):
        forbid(leaks)


def test_one_earthquake_under_two_names() -> None:
    records = _records()
    records.loc[records["event_id"] == "e1", "event_time"] = np.datetime64("2020-01-01T00:00:03", "ns")
    leaks = audit_ground_motions(records, _parts(records), "event", measures=["pga_cm_s2"])
    assert any("may be one" in kind for kind in _found(leaks))


def test_a_copy_in_another_part() -> None:
    records = _records()
    twin = records.iloc[[7]].assign(
        latitude=lambda t: t["latitude"] + 0.004, pga_cm_s2=lambda t: t["pga_cm_s2"] * 1.01
    )
    both = pd.concat([records, twin], ignore_index=True)
    parts = np.append(_parts(records), "train")
    leaks = audit_ground_motions(both, parts, "station", measures=["pga_cm_s2"])
    assert "the same samples, copied" in _found(leaks)


def test_overlapping_windows() -> None:
    records = _records()
    start = records["event_time"]
    long = records.assign(start=start, end=start + pd.Timedelta("30h"))
    short = records.assign(start=start, end=start + pd.Timedelta("1h"))
    kind = "the same samples, in windows that overlap"
    assert kind in _found(audit_ground_motions(long, _parts(records), "event", measures=["pga_cm_s2"]))
    assert kind not in _found(audit_ground_motions(short, _parts(records), "event", measures=["pga_cm_s2"]))


def test_sites_and_blocks_are_kept_apart() -> None:
    records = _records()
    block = np.array(split_by_block(records["latitude"], records["longitude"]))
    assert set(block) > {"train", "test"}
    assert _found(audit_ground_motions(records, block, "block", measures=["pga_cm_s2"])) == set()
    other = np.where(np.arange(len(records)) % 3 == 0, "test", "train")
    assert {"the same spatial block"} <= _found(
        audit_ground_motions(records, other, "block", measures=["pga_cm_s2"])
    )


def test_training_on_later_records_breaks_a_split_by_time() -> None:
    records = _records()
    leaks = audit_ground_motions(records, _parts(records), "time", measures=["pga_cm_s2"])
    assert "training records later than held-out ones" in _found(leaks)
    with pytest.raises(InputError, match="time"):
        untimed = records.drop(columns="event_time")
        audit_ground_motions(untimed, _parts(records), "time", measures=["pga_cm_s2"])


@pytest.mark.parametrize("form", ["standard", "range", "robust"])
@pytest.mark.parametrize("leaky", [True, False])
def test_normalisation_with_held_out_rows(form: str, leaky: bool) -> None:
    records = _records()
    parts = _parts(records)
    raw = records["rrup_km"]
    own = raw if leaky else raw[parts == "train"]
    if form == "standard":
        scaled = (raw - own.mean()) / own.std(ddof=0)
    elif form == "range":
        scaled = (raw - own.min()) / (own.max() - own.min())
        if leaky:  # or the extremes happen to be of a training row, and nothing leaks
            assert raw[parts == "train"].max() < raw.max() or raw[parts == "train"].min() > raw.min()
    else:
        scaled = (raw - own.median()) / (own.quantile(0.75) - own.quantile(0.25))
    table = records.assign(distance=scaled)
    assert normalisation(table, parts, ["distance", "vs30_m_s"])["n"].iloc[0] == int(leaky)
    leaks = audit_ground_motions(table, parts, "event", measures=["pga_cm_s2"], features=["distance"])
    assert ("normalisation fitted on held-out rows" in _found(leaks)) == leaky


@pytest.mark.parametrize("leaky", [True, False])
def test_site_terms_from_held_out_rows(leaky: bool) -> None:
    records = _records()

    def site_mean(table: pd.DataFrame, parts: np.ndarray) -> np.ndarray:
        own = table if leaky else table[parts == "train"]
        mean = own.groupby("latitude")["pga_cm_s2"].mean()
        return np.asarray(mean.reindex(table["latitude"]))

    row = influence(site_mean, records, _parts(records), ["pga_cm_s2"]).iloc[0]
    assert (row["n"] > 0) == leaky


def test_a_method_without_a_seed_is_not_judged() -> None:
    records = _records()
    with pytest.raises(InputError, match="two answers"):
        influence(
            lambda t, _: np.random.default_rng().normal(size=len(t)), records, _parts(records), ["pga_cm_s2"]
        )


def test_duplicates_and_neighbours() -> None:
    base = pd.DataFrame(
        {
            "event_id": ["a", "a", "a", "a", "b"],
            "latitude": [35.0, 35.003, 35.004, 35.2, 35.0],
            "longitude": 139.0,
            "pga_cm_s2": [100.0, 101.0, 180.0, 100.0, 100.0],
            "pgv_cm_s": [10.0, np.nan, 10.0, 10.0, 10.0],
        }
    )
    first = duplicates(base, ["pga_cm_s2", "pgv_cm_s"])
    assert first.tolist() == [0, 0, 2, 3, 4]
    assert sites(base["latitude"], base["longitude"]).tolist() == [0, 0, 0, 1, 0]
    with pytest.raises(InputError):
        duplicates(base.assign(pga_cm_s2=0.0), ["pga_cm_s2"])
    with pytest.raises(SchemaError):
        duplicates(base, ["sa_1_000_cm_s2"])


def test_the_japan_list_has_its_copies(shared_data: Path) -> None:
    table = pd.read_csv(shared_data / "strongmotion" / "japan_station_pga" / "stations.csv")
    records = table.rename(columns={"event": "event_id"}).assign(
        pga_cm_s2=lambda t: 980.665 * np.exp(t["ln_pga_g"])
    )
    first = duplicates(records, ["pga_cm_s2"])
    copy = first != np.arange(len(records))
    # About one in six stands twice; all of them in the Tohoku list, which was merged from two feeds.
    assert 1 / 7 < copy.mean() < 1 / 4
    assert set(records.loc[copy, "event_id"]) <= {
        "20110311_M9.1_Tohoku",
        "20180618_M5.5_Osaka",
        "20180906_M6.6_HokkaidoEasternIburi",
    }
    assert not (
        duplicates(records[~copy].reset_index(drop=True), ["pga_cm_s2"]) != np.arange((~copy).sum())
    ).any()
    # Rows dealt out at random part the copies; blocks do not, save where a copy lies across an edge.
    parts = np.where(np.arange(len(records)) % 3 == 0, "test", "train")
    leaks = audit_ground_motions(records, parts, "block", measures=["pga_cm_s2"]).set_index("kind")
    assert leaks.loc["the same samples, copied", "n"] > 100


def test_blocks_and_folds() -> None:
    names = blocks([35.2, 35.49, -0.1, 35.2], [139.9, 139.6, -179.9, 499.9])
    assert names.tolist() == ["35/139.5", "35/139.5", "-0.5/-180", "35/139.5"]
    key = np.repeat(np.arange(23), np.arange(1, 24))
    fold = folds(key, n_fold=4)
    assert set(fold) == {0, 1, 2, 3}
    assert all(len(set(fold[key == k])) == 1 for k in range(23))
    assert np.ptp(np.bincount(fold)) <= 8
    with pytest.raises(InputError):
        folds(["a", "b"], n_fold=3)
    with pytest.raises(InputError):
        blocks([np.nan], [1.0])
