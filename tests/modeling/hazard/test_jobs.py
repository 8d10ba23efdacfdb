"""OpenQuake's own damage cases through the adapter, and an exported model in its classical calculation."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ground_motions import made_ground_motions

from kaname.core.errors import InputError, NotFoundError
from kaname.modeling.ground_motion import get_model
from kaname.modeling.ground_motion.export import export_openquake
from kaname.modeling.hazard.isolated import OpenQuakeError
from kaname.modeling.hazard.jobs import read_exported, run_jobs

CASES = "damage/openquake_cases/openquake/qa_tests_data"
pytestmark = pytest.mark.extra


@pytest.fixture(scope="module")
def cases(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cases in a folder that OpenQuake may write to, unpacked."""
    folder = tmp_path_factory.mktemp("cases")
    for name in ("scenario_damage", "mosaic"):
        shutil.copytree(shared_data / CASES / name, folder / name, copy_function=shutil.copyfile)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    for packed in folder.rglob("*.npy.gz"):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    return folder


@pytest.mark.slow
def test_damage_of_a_scenario_conditioned_on_stations(openquake: str, cases: Path) -> None:
    case = cases / "scenario_damage/case_20"
    result = run_jobs(case / "job.ini", python=openquake)
    assert result.calculation_mode == "scenario_damage" and not result.failed
    expected = read_exported(case / "expected/avg_damages.csv")
    found = result.tables["avg_damages-rlz-000"]
    assert len(found) == len(expected) == 47
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4, atol=1e-5)
    total = read_exported(case / "expected/aggrisk.csv")
    pd.testing.assert_frame_equal(result.tables["aggrisk"][total.columns], total, rtol=1e-4)


@pytest.mark.slow
def test_damage_from_a_shakemap(openquake: str, cases: Path) -> None:
    case = cases / "scenario_damage/case_8"
    result = run_jobs(case / "prejob.ini", case / "job.ini", python=openquake)
    expected = read_exported(case / "expected/risk_by_event.csv")
    found = result.tables["risk_by_event"]
    assert len(found) == len(expected) == 25
    pd.testing.assert_frame_equal(found[expected.columns], expected, rtol=1e-4)


@pytest.mark.slow
def test_an_exported_model_in_the_classical_calculation_of_japan(
    openquake: str, cases: Path, tmp_path: Path
) -> None:
    ours = get_model("boore_2014")
    exported = export_openquake(
        ours, tmp_path, name="KanameBoore", tectonic_region="active_shallow", measures=["pga", "sa(1)"]
    )
    assert exported.errors["error_95"].max() < 0.02
    curves = {}
    for gsim in ("KanameBoore", "BooreEtAl2014"):
        job = japan(cases / "mosaic/JPN/in", tmp_path / f"job_{gsim}", gsim)
        result = run_jobs(job, models=[exported.module], python=openquake)
        assert result.calculation_mode == "classical" and not result.failed
        curves[gsim] = result.tables
    for measure in ("PGA", "SA(1.0)"):
        name = f"hazard_curve-mean-{measure}"
        a, b = (curves[gsim][name].filter(like="poe-").to_numpy() for gsim in curves)
        assert b.max() > 0.03
        np.testing.assert_allclose(a[b > 1e-4], b[b > 1e-4], rtol=0.03)
    assert "hazard_map-mean" in curves["KanameBoore"]


@pytest.mark.slow
def test_a_learned_model_in_the_classical_calculation_of_japan(
    openquake: str, cases: Path, tmp_path: Path
) -> None:
    forest = get_model("forest", n_tree=20, n_fold=2, base_options={"mechanism": "unspecified"})
    forest.fit(made_ground_motions(30, 15, seed=1, measures=("pga", "sa(1)")), ["pga", "sa(1)"])
    exported = export_openquake(
        forest, tmp_path, name="KanameForest", tectonic_region="active_shallow", measures=["pga", "sa(1)"],
        fixed={"latitude": 30.0, "longitude": 30.0},
    )  # fmt: skip
    job = japan(cases / "mosaic/JPN/in", tmp_path / "job", "KanameForest")
    result = run_jobs(job, models=[exported.module], python=openquake)
    curve = result.tables["hazard_curve-mean-PGA"].filter(like="poe-").to_numpy()[0]
    assert (np.diff(curve) <= 0).all() and 0.01 < curve[0] < 0.2
    bins = {"mag_bin_width": "0.5", "distance_bin_width": "20", "coordinate_bin_width": "1"}
    parameters = {"calculation_mode": "disaggregation", "poes_disagg": "0.02", "poes": "0.02", **bins}
    parameters |= {"num_epsilon_bins": "3", "disagg_outputs": "Mag_Dist"}
    result = run_jobs(job, models=[exported.module], python=openquake, parameters=parameters)
    assert not result.failed
    shares = result.tables["Mag_Dist-0"]
    # The contributions of independent bins make up the probability that was asked for.
    for _, part in shares.groupby("imt"):
        assert 1 - np.prod(1 - part["rlz0"]) == pytest.approx(0.02, rel=0.05)


def japan(source: Path, folder: Path, gsim: str) -> Path:
    """The mini-model of Japan with one model and two measures, at a site near its point sources.

    The group of subduction earthquakes is left out: its ruptures are in a file that the real case lacks.
    """
    shutil.copytree(source, folder)
    text = (folder / "ssm/ssm01.xml").read_text()
    begin = text.index("<sourceGroup", text.index("</sourceGroup>"))
    (folder / "ssm/ssm01.xml").write_text(text[:begin] + text[text.rindex("</sourceGroup>") + 14 :])
    (folder / "gmm.xml").write_text(
        f"""<?xml version='1.0' encoding='UTF-8'?>
<nrml><logicTree logicTreeID=""><logicTreeBranchSet branchSetID="bs" uncertaintyType="gmpeModel"
 applyToTectonicRegionType="Active Shallow Crust"><logicTreeBranch branchID="b">
<uncertaintyModel>{gsim}</uncertaintyModel><uncertaintyWeight>1.0</uncertaintyWeight>
</logicTreeBranch></logicTreeBranchSet></logicTree></nrml>"""
    )
    text = (folder / "job_vs30.ini").read_text()
    begin, end = text.index("intensity_measure_types_and_levels"), text.index("truncation_level")
    levels = '{"PGA": logscale(0.005, 3.00, 25), "SA(1.0)": logscale(0.005, 3.00, 25)}'
    text = text[:begin] + f"intensity_measure_types_and_levels = {levels}\n" + text[end:]
    text = text.replace("gmmLTrisk.xml", "gmm.xml").replace("sites = 139 36", "sites = 142.2 42.5")
    text = text.replace("site_model_file = sites_jpn_res6.csv", "")
    site = "[site_params]\nreference_vs30_value = 600\nreference_vs30_type = inferred\n"
    site += "reference_depth_to_1pt0km_per_sec = 126\nreference_depth_to_2pt5km_per_sec = 0.8"
    (folder / "job.ini").write_text(text.replace("[site_params]", site))
    return folder / "job.ini"


def test_what_cannot_be_run(openquake: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no job"):
        run_jobs()
    with pytest.raises(NotFoundError, match=r"no file .*job\.ini"):
        run_jobs(tmp_path / "job.ini", python=openquake)
    (tmp_path / "job.ini").write_text("[general]\ncalculation_mode = guessing\n")
    with pytest.raises(OpenQuakeError, match="guessing"):
        run_jobs(tmp_path / "job.ini", python=openquake)


def test_an_exported_model_does_not_take_the_name_of_another(openquake: str, tmp_path: Path) -> None:
    exported = export_openquake(get_model("boore_2014"), tmp_path, name="BooreEtAl2014", n_check=10,
                                tectonic_region="active_shallow", measures=["pga"])  # fmt: skip
    (tmp_path / "job.ini").write_text("[general]\ncalculation_mode = classical\n")
    with pytest.raises(OpenQuakeError, match="BooreEtAl2014 is taken"):
        run_jobs(tmp_path / "job.ini", models=[exported.module], python=openquake)
