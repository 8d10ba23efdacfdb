"""Export without the engine: what is written, how far it is off, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ground_motions import made_ground_motions

from kaname.core.errors import InputError
from kaname.modeling.ground_motion import get_model
from kaname.modeling.ground_motion.export import export_openquake


def test_two_files_and_how_far_they_are_off(tmp_path: Path) -> None:
    model = get_model("zhao_2006", tectonic_region="subduction_slab")
    exported = export_openquake(
        model,
        tmp_path / "models",
        name="KanameZhaoSlab",
        tectonic_region="subduction_slab",
        measures=["pga", "sa(0.3)"],
        # The site enters by class, so the nodes lie on either side of each step.
        axes={"vs30_m_s": [199, 201, 299, 301, 599, 601, 1099, 1101], "event_depth_km": [15, 50, 125]},
        fixed={"rake_deg": 90.0},  # which nobody needs, and does no harm
    )
    assert exported.module.name == "KanameZhaoSlab.py" and exported.module.is_file()
    with np.load(exported.module.with_suffix(".npz")) as table:
        meta = json.loads(str(table["meta"]))
        assert meta["measures"] == ["PGA", "SA(0.3)"]
        assert meta["component"] == "Average Horizontal"
        assert table["values_0"].shape == (3, *(len(table[f"axis_{axis}"]) for axis in meta["axes"]))
    assert exported.errors["measure"].tolist() == ["pga", "sa(0.3)"]
    assert (exported.errors["error_50"] < 0.01).all()
    assert (exported.errors["sigma_error_95"] < 1e-6).all()


def test_the_other_distance_follows_from_the_depth(tmp_path: Path) -> None:
    class Both:
        name, needs, measures = "both", ("rjb_km", "rrup_km", "event_depth_km"), ("pga",)

        def predict(self, table, measure):
            from kaname.modeling.ground_motion import Prediction

            np.testing.assert_allclose(np.hypot(table["rjb_km"], table["event_depth_km"]), table["rrup_km"])
            one = np.ones(len(table))
            return Prediction(-np.log(table["rrup_km"].to_numpy()), 0.3 * one, 0.5 * one)

    exported = export_openquake(
        Both(), tmp_path, name="Both", tectonic_region="active_shallow", measures=["pga"],
        axes={"rjb_km": np.geomspace(1, 300, 60), "event_depth_km": np.linspace(1, 30, 30)},
    )  # fmt: skip
    assert exported.errors["error_95"].max() < 0.02


def test_what_is_refused(tmp_path: Path) -> None:
    model = get_model("boore_2014", basin="japan")
    call = {"name": "X", "tectonic_region": "active_shallow", "measures": ["pga"]}
    with pytest.raises(InputError, match="needs z1pt0_m: give its nodes"):
        export_openquake(model, tmp_path, **call)
    with pytest.raises(InputError, match="name a class"):
        export_openquake(model, tmp_path, **{**call, "name": "2 models"})
    with pytest.raises(InputError, match="OpenQuake has no intensity_jma"):
        export_openquake(model, tmp_path, **{**call, "measures": ["intensity_jma"]})
    with pytest.raises(InputError, match="no column vs30, so it cannot be fixed"):
        export_openquake(model, tmp_path, **call, fixed={"vs30": 400})
    with pytest.raises(InputError, match="must increase"):
        export_openquake(model, tmp_path, **call, fixed={"z1pt0_m": 30}, axes={"magnitude": [6, 5]})
    with pytest.raises(InputError, match="use fewer nodes"):
        export_openquake(model, tmp_path, **call, axes={"z1pt0_m": np.arange(1.0, 2000.0)})
    assert not list(tmp_path.iterdir())


def test_a_learned_model_is_exported_like_any_other(tmp_path: Path) -> None:
    model = get_model("forest", n_tree=20, n_fold=2, base_options={"mechanism": "unspecified"})
    model.fit(made_ground_motions(30, 15, seed=1, trend=0.5), "pga")
    fixed = {column: 30.0 for column in model.needs if column in ("latitude", "longitude", "azimuth_deg")}
    exported = export_openquake(
        model, tmp_path, name="KanameForest", tectonic_region="active_shallow", measures=["pga"], fixed=fixed
    )
    # Trees are steps; between nodes the table slopes.
    assert exported.errors["error_50"].item() < 0.05
    assert exported.errors["error_95"].item() < 0.25
