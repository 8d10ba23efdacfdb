"""Run by a Python that has OpenQuake: the conditioned field of a case, beside the inputs it was made from.

``python openquake_conditioned.py JOB.ini OUT.npz``; hazard only, each branch of the logic tree.
"""

import configparser
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["OQ_DISTRIBUTE"] = "no"

import numpy as np
from openquake.calculators import base, event_based
from openquake.commonlib import logs
from openquake.hazardlib.calc import conditioned_gmfs
from openquake.hazardlib.geo import geodetic

KEPT = ("site_params", "station_data", "rupture", "calculation", "hazard_calculation", "boundaries")


def hazard_only(job: Path) -> dict[str, str]:
    """Return the settings of a job without what concerns losses and damage."""
    ini = configparser.ConfigParser(interpolation=None)
    ini.read(job)
    settings = {k: " ".join(v.split()) for section in KEPT if section in ini for k, v in ini[section].items()}
    settings.pop("region", None)
    settings.pop("region_grid_spacing", None)
    return settings | {"calculation_mode": "scenario", "description": "compare", "ses_seed": "1"}


def single(computer, conditioner, monitor):
    """What comes after the field wants single precision again."""
    fields = conditioned_gmfs.conditioned(computer, conditioner, monitor)
    return {g: values.astype(np.float32) for g, values in fields.items()}


def main(job: Path, out: Path) -> None:
    saved: dict[str, np.ndarray] = {}
    calls = 0
    original = conditioned_gmfs.Conditioner.get_mu_tau_phi

    def watched(self, m, target, monitor):
        nonlocal calls
        result = original(self, m, target, monitor)
        g, _, inp, here, there = self.args
        with monitor.shared["DD"] as apart:
            made = conditioned_gmfs.createD(g, m, target, inp, there, apart)
        row = {"target": str(target.string), "measures": [i.string for i in made.conditioning_imts]}
        row |= {"lon": inp.sites_Y.lons, "lat": inp.sites_Y.lats, "lon_d": inp.sites_D.lons}
        row |= {"lat_d": inp.sites_D.lats, "mean": here[0, 0, 0], "tau": here[2, 0, 0], "phi": here[3, 0, 0]}
        for k, imt in enumerate(made.conditioning_imts):
            at = inp.imts_D.index(imt)
            row |= {f"mean_{k}": there[0, 0, at], f"tau_{k}": there[2, 0, at], f"phi_{k}": there[3, 0, at]}
            row[f"value_{k}"] = np.log(inp.stations[imt.string + "_mean"].to_numpy())
            row[f"spread_{k}"] = inp.stations[imt.string + "_std"].to_numpy()
        row |= {"mu": result[0][:, 0], "within": result[1], "between": result[2]}
        saved.update({f"{calls}/{key}": np.asarray(value) for key, value in row.items()})
        calls += 1
        return result

    conditioned_gmfs.Conditioner.get_mu_tau_phi = watched
    # Coordinates and results in double precision: as shipped, distances are good to a metre, no better.
    conditioned_gmfs.F32 = np.float64
    geodetic.F32 = np.float64
    event_based.conditioned = single
    logs.dbcmd("upgrade_db")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(job.parent, Path(folder) / "case")
        ini = Path(folder) / "case" / "hazard_only.ini"
        lines = [f"{k} = {v}" for k, v in hazard_only(job).items()]
        ini.write_text("\n".join(["[general]", *lines]) + "\n")
        with logs.init(str(ini)) as log:
            base.calculators(log.get_oqparam(), log.calc_id).run()
    np.savez(out, **saved)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
