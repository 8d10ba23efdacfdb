"""Whole runs of ``kaname gmm``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ground_motions import made_ground_motions

from kaname.cli import main
from kaname.core.shaking import GROUND_MOTIONS
from kaname.core.tables import read_table, write_table
from kaname.modeling.ground_motion.comparison import COMPARISON
from kaname.modeling.ground_motion.saved import read_header

QUICK = 'measures = ["pga"]\nn_fold = 2\nmodels = ["boore_2014", "boosted"]\n'


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gmm")
    for name, seed in (("train", 1), ("test", 2)):
        write_table(made_ground_motions(15, 20, seed=seed), folder / f"{name}.parquet", GROUND_MOTIONS)
    (folder / "quick.toml").write_text(QUICK)
    return folder


@pytest.fixture(scope="module")
def model(case: Path) -> Path:
    path = case / "model.npz"
    assert (
        main(["gmm", "fit", f"{case}/train.parquet", "--out", str(path), "--config", f"{case}/quick.toml"])
        == 0
    )
    return path


def test_a_model_knows_what_it_was_made_of(model: Path, case: Path) -> None:
    header = read_header(model)
    assert header["provenance"]["inputs"][0]["path"] == f"{case}/train.parquet"
    assert header["provenance"]["settings"]["measures"] == ["pga"]
    assert header["measures"]["pga"]["n_event"] == 15


def test_predictions_with_and_without_what_was_observed(
    model: Path, case: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blind, told = case / "blind.parquet", case / "told.csv"
    scenarios = f"{case}/test.parquet"
    capsys.readouterr()
    assert (
        main(["gmm", "predict", str(model), scenarios, "--measure", "pga", "--out", str(blind), "--json"])
        == 0
    )
    assert json.loads(capsys.readouterr().out)["predictions"] == len(pd.read_parquet(scenarios))
    command = ["gmm", "predict", str(model), scenarios, "--measure", "pga", "--out", str(told)]
    assert main([*command, "--observed", scenarios]) == 0
    first, second = pd.read_parquet(blind), pd.read_csv(told)
    assert (first["p05"] < first["p50"]).all() and (first["p50"] < first["p95"]).all()
    assert (second["tau"] < first["tau"]).all()
    observed = np.log(read_table(scenarios, GROUND_MOTIONS)["pga_cm_s2"])
    assert np.std(observed - second["mean"]) < np.std(observed - first["mean"])


def test_a_fitted_model_is_mapped(model: Path, case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = case / "map"
    words = ["shakemap", "event 2-003", "--stations", f"{case}/test.parquet", "--model", str(model)]
    words += ["--spacing", "0.5", "--out", str(out)]
    assert main(words) == 0
    run = json.loads((out / "run.json").read_text())
    assert run["model"]["name"] == str(model) and str(model) in [i["path"] for i in run["inputs"]]
    capsys.readouterr()
    assert main([*words, "--option", "mechanism=unspecified"]) == 2
    assert "leave --option out" in capsys.readouterr().err


def test_a_published_model_predicts_by_its_name(case: Path) -> None:
    out = case / "published.parquet"
    command = [
        "gmm",
        "predict",
        "boore_2014",
        f"{case}/test.parquet",
        "--measure",
        "pga",
        "--measure",
        "sa(1)",
    ]
    assert main([*command, "--out", str(out)]) == 0
    frame = pd.read_parquet(out)
    counts = frame.groupby("measure").size()
    assert counts["pga"] == counts["sa(1)"] and frame["domain"].isna().all()


def test_models_side_by_side(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = case / "compared"
    assert (
        main(["gmm", "compare", f"{case}/train.parquet", "--out", str(out), "--config", f"{case}/quick.toml"])
        == 0
    )
    assert "boosted" in capsys.readouterr().out
    rows = read_table(out / "comparison.parquet", COMPARISON)
    assert rows["model"].tolist() == ["boore_2014", "boosted"]
    assert json.loads((out / "run.json").read_text())["settings"]["hold_out"] == "event"


def test_models_are_scored_on_the_records_that_are_given(case: Path) -> None:
    out = case / "blind"
    command = ["gmm", "compare", f"{case}/train.parquet", "--held-out", f"{case}/test.parquet"]
    assert main([*command, "--out", str(out), "--config", f"{case}/quick.toml"]) == 0
    rows = read_table(out / "comparison.parquet", COMPARISON)
    held = pd.read_parquet(case / "test.parquet")
    assert rows["held_out"].tolist() == ["given", "given"] and (rows["n"] == len(held)).all()
    assert set(pd.read_parquet(out / "scores.parquet")["record_id"]) == set(held["record_id"])
    assert main([*command[:3], "--held-out", command[2], "--out", str(out)]) == 2


def test_what_leaks_or_lacks_is_refused(model: Path, case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit = ["gmm", "fit", f"{case}/train.parquet", "--config", f"{case}/quick.toml", "--out"]
    assert main([*fit, f"{case}/x.npz", "--held-out", f"{case}/train.parquet"]) == 2
    assert "the same event" in capsys.readouterr().err
    assert main([*fit, f"{case}/x.pkl"]) == 2
    predict = [
        "gmm",
        "predict",
        str(model),
        f"{case}/test.parquet",
        "--out",
        f"{case}/x.parquet",
        "--measure",
    ]
    assert main([*predict, "pgv"]) == 2
    assert "not fitted" in capsys.readouterr().err
    assert main([*predict[:2], str(case / "none.npz"), *predict[3:], "pga"]) == 1
    (case / "odd.toml").write_text('fill = {vs30_m_s = 760.0}\nmeasures = ["pga"]\n')
    assert main([*fit[:3], "--config", f"{case}/odd.toml", "--out", f"{case}/x.npz"]) == 2
    assert "nothing is written over" in capsys.readouterr().err


@pytest.fixture(scope="module")
def database(case: Path) -> Path:
    """A database: records of ``train`` and ``test``, one rejected, one below ground, one without a place."""
    both = pd.concat([read_table(case / f"{n}.parquet", GROUND_MOTIONS) for n in ("train", "test")])
    first = both.iloc[[0]]
    odd = [
        first.assign(record_id="bad", quality="rejected", pga_cm_s2=np.nan),
        first.assign(record_id="deep", sensor_depth_m=100.0, pga_cm_s2=0.1),
        first.assign(record_id="nowhere", latitude=np.nan),
    ]
    write_table(pd.concat([both, *odd]), case / "db/ground_motions.parquet", GROUND_MOTIONS)
    return case / "db"


def test_a_database_and_queries_of_it(database: Path, case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is asked of the database is what stands in the two tables, and the model is the same."""
    out = case / "from_database.npz"
    command = ["gmm", "fit", str(database), "--where", "event_id LIKE 'event 1-%'", "--out", str(out)]
    other = ["--held-out", str(database), "--held-out-where", "event_id LIKE 'event 2-%'"]
    assert main([*command, *other, "--config", f"{case}/quick.toml", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["left_out"] == {"rejected": 1, "copies": 0, "below ground": 1, "without a place": 1}
    assert said["measures"]["pga"]["n_record"] == len(pd.read_parquet(case / "train.parquet"))
    provenance = read_header(out)["provenance"]
    assert provenance["where"] == "event_id LIKE 'event 1-%'"
    assert provenance["inputs"][0]["path"] == f"{database}/ground_motions.parquet"
    found = case / "of_one.csv"
    command = ["gmm", "predict", str(out), str(database), "--where", "event_id = 'event 2-003'"]
    command += ["--observed", str(database), "--observed-where", "event_id = 'event 2-003'"]
    assert main([*command, "--measure", "pga", "--out", str(found)]) == 0
    assert set(pd.read_csv(found)["event_id"]) == {"event 2-003"}


def test_conditions_that_cannot_be_met(
    database: Path, case: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = ["gmm", "fit", str(database), "--config", f"{case}/quick.toml", "--out", f"{case}/x.npz"]
    assert main([*fit, "--where", "depth > 3"]) == 2
    assert "cannot answer" in capsys.readouterr().err
    table = [*fit[:2], f"{case}/train.parquet", *fit[3:]]
    assert main([*table, "--where", "depth > 3"]) == 2
    assert "cannot answer" in capsys.readouterr().err
    assert main([*fit, "--where", "magnitude > 9"]) == 2
    assert "no record with magnitude > 9" in capsys.readouterr().err
    assert main([*fit, "--held-out-where", "magnitude > 5"]) == 2
    assert "needs the records" in capsys.readouterr().err
    assert main(["gmm", "fit", str(case.parent), *fit[3:]]) == 1
    assert "make one with kaname records build" in capsys.readouterr().err


def test_real_records_from_files_to_scores(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """K-NET, CSMIP, ESM and GeoNet files: built, asked, predicted and compared."""
    db = tmp_path / "db"
    folders = [shared_data / "japan/knet_kiknet/knet/us2000cnnl"]
    folders += [shared_data / f"strongmotion/records/{n}" for n in ("dmg", "esm", "geonet")]
    assert main(["records", "build", *map(str, folders), "--db", str(db)]) in (0, 3)
    (tmp_path / "gmm.toml").write_text(
        'measures = ["pga", "sa(0.3)"]\nn_fold = 2\nmodels = ["boore_2014"]\nfill = {vs30_m_s = 400.0}\n'
    )
    config, used = ["--config", f"{tmp_path}/gmm.toml"], "quality = 'used'"
    out = tmp_path / "predicted.csv"
    command = ["gmm", "predict", "boore_2014", str(db), "--where", f"{used} AND event_id = 'us2000cnnl'"]
    assert main([*command, "--measure", "pga", "--out", str(out), *config]) == 0
    capsys.readouterr()
    predicted = pd.read_csv(out)
    assert predicted["record_id"].str.startswith("BO.AOM").all() and len(predicted) == 5
    recorded = read_table(db / "ground_motions.parquet", GROUND_MOTIONS).set_index("record_id")["pga_cm_s2"]
    apart = np.log(recorded[predicted["record_id"]].to_numpy()) - predicted["mean"]
    assert (apart.abs() < 4 * np.hypot(predicted["tau"], predicted["phi"])).all()
    out = tmp_path / "compared"
    command = ["gmm", "compare", str(db), "--where", f"{used} AND magnitude >= 4", "--out", str(out)]
    assert main([*command, *config]) == 0
    rows = read_table(out / "comparison.parquet", COMPARISON)
    assert rows["measure"].tolist() == ["pga", "sa(0.3)"] and (rows["n"] >= 9).all()
    assert json.loads((out / "run.json").read_text())["where"] == f"{used} AND magnitude >= 4"


def test_its_configuration_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "gmm"]) == 0
    assert 'model = "boosted"' in capsys.readouterr().out


def test_a_scenario_needs_no_more_than_the_model(tmp_path: Path) -> None:
    """As on the page of ground motion."""
    scenarios, out = tmp_path / "scenarios.csv", tmp_path / "shaking.csv"
    scenarios.write_text("record_id,event_id,magnitude,rjb_km,vs30_m_s\na,x,6.5,20,400\n")
    assert main(["gmm", "predict", "boore_2014", str(scenarios), "--measure", "pga", "--out", str(out)]) == 0
    (row,) = pd.read_csv(out).itertuples()
    assert row.unit == "cm/s2" and row.p50 == pytest.approx(np.exp(row.mean))


def test_the_name_of_a_model_is_looked_at_before_it_is_learned(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gmm", "fit", str(tmp_path / "no_records"), "--out", str(tmp_path / "model.txt")]) == 2
    assert ".npz" in capsys.readouterr().err
