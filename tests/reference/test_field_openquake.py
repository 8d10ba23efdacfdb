"""The conditioned field beside OpenQuake's, on OpenQuake's own cases, from the same means and deviations.

Needs a Python that has openquake-engine (it wants older pandas and numpy than ours): KANAME_OPENQUAKE.
OpenQuake 3.26 rounds coordinates, deviations and results to single precision, which is undone here, and adds
the uncertainty of the first recording to every recording (``numpy.fill_diagonal`` with a matrix), which is
done here too.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from kaname.core.shaking import GRAVITY_CM_S2
from kaname.modeling.field.conditioning import Places, Recorded, condition

CASES = {
    "scenario_risk/conditioned": ("jayaram_baker_2009_clustered", 8),
    "scenario_damage/case_20": ("jayaram_baker_2009", 3),
}


@pytest.mark.extra
@pytest.mark.parametrize("case", CASES)
def test_mean_and_covariance_equal_openquake(case: str, shared_data: Path, tmp_path: Path) -> None:
    python = os.environ.get("KANAME_OPENQUAKE")
    if not python:
        pytest.skip("KANAME_OPENQUAKE names no Python that has OpenQuake")
    spatial, n_fields = CASES[case]
    job = shared_data / "damage/openquake_cases/openquake/qa_tests_data" / case / "job.ini"
    script = Path(__file__).parents[1] / "support/openquake_conditioned.py"
    environment = os.environ | {"HOME": str(tmp_path)}
    subprocess.run(
        [python, str(script), str(job), str(tmp_path / "oq.npz")],
        check=True,
        env=environment,
        capture_output=True,
    )
    saved = np.load(tmp_path / "oq.npz")
    fields = sorted({key.split("/")[0] for key in saved.files})
    assert len(fields) == n_fields
    for field in fields:
        one = {key.split("/")[1]: saved[key] for key in saved.files if key.startswith(f"{field}/")}
        shift = np.log(GRAVITY_CM_S2)
        recorded = []
        for k, measure in enumerate(one["measures"]):
            there = Places(
                str(measure).lower(),
                one["lat_d"],
                one["lon_d"],
                one[f"mean_{k}"] + shift,
                one[f"tau_{k}"],
                one[f"phi_{k}"],
            )
            recorded.append(Recorded(there, one[f"value_{k}"] + shift, float(one["spread_0"][0])))
        here = Places(
            str(one["target"]).lower(), one["lat"], one["lon"], one["mean"] + shift, one["tau"], one["phi"]
        )
        ours = condition(recorded, here, spatial=spatial)
        np.testing.assert_allclose(ours.mean - shift, one["mu"], rtol=0, atol=1e-6)
        # OpenQuake sets covariances below zero to zero, element by element.
        within = np.maximum(ours.covariance(between=False), 0)
        between = np.maximum(ours.covariance(within=False), 0)
        np.testing.assert_allclose(within, one["within"], rtol=0, atol=1e-6)
        np.testing.assert_allclose(between, one["between"], rtol=0, atol=1e-6)
