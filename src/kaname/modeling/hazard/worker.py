"""What runs in OpenQuake's interpreter: it answers requests on stdin until that ends.

This file is run by its path, where kaname cannot be imported; it imports numpy, OpenQuake and the standard
library only. A request and an answer are each a length (8 bytes, big-endian) and that many bytes of an NPZ
archive, whose entry ``message`` is JSON and whose other entries are arrays.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, Any]
Answer = tuple[dict[str, Any], Arrays]


def main() -> None:
    """Answer requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "wb")
    # OpenQuake prints; stdout belongs to the answers.
    os.dup2(2, 1)
    actions: dict[str, Callable[..., Answer]] = {"describe": describe, "predict": predict, "run": run}
    while head := sys.stdin.buffer.read(8):
        archive = np.load(io.BytesIO(sys.stdin.buffer.read(int.from_bytes(head, "big"))))
        request = json.loads(str(archive["message"]))
        arrays = {name: archive[name] for name in archive.files if name != "message"}
        try:
            message, arrays = actions[request.pop("action")](arrays=arrays, **request)
        except Exception as error:  # noqa: BLE001 - whatever went wrong here is told over there
            lines = traceback.format_exc()
            message, arrays = {"error": f"{type(error).__name__}: {error}", "traceback": lines}, {}
        buffer = io.BytesIO()
        np.savez(buffer, message=json.dumps(message), **arrays)
        answers.write(len(buffer.getvalue()).to_bytes(8, "big"))
        answers.write(buffer.getvalue())
        answers.flush()


def describe(arrays: Arrays, model: str, measures: list[str]) -> Answer:
    """Return what a GSIM requires, and which of the measures it knows."""
    gsim = _gsim(model)
    example = {name: np.array([value]) for name, value in _EXAMPLE.items()}
    known = []
    for measure in measures:
        try:
            predict(example, model, measure)
        except (KeyError, ValueError, NotImplementedError, AttributeError, IndexError):
            continue
        known.append(measure)
    requires = sorted(
        gsim.REQUIRES_RUPTURE_PARAMETERS | gsim.REQUIRES_SITES_PARAMETERS | gsim.REQUIRES_DISTANCES
    )
    return {"requires": requires, "measures": known}, {}


def predict(arrays: Arrays, model: str, measure: str) -> Answer:
    """Return mean, total, between-event and within-event standard deviations of one measure."""
    from openquake.hazardlib.contexts import simple_cmaker
    from openquake.hazardlib.imt import from_string

    gsim = _gsim(model)
    maker = simple_cmaker([gsim], [measure])
    n = len(next(iter(arrays.values())))
    context = maker.new_ctx(n)
    for name, values in arrays.items():
        if name in context.dtype.names:
            context[name] = values
    mean, sigma, tau, phi = np.zeros((4, 1, n))
    order = np.argsort(context["mag"], kind="stable") if "mag" in context.dtype.names else np.arange(n)
    if n:
        # Some models take the magnitude of the first row for all rows; so each magnitude goes by itself.
        cuts = np.flatnonzero(np.diff(context["mag"][order])) + 1
        for rows in np.split(order, cuts):
            part = context[rows]
            out = np.zeros((4, 1, len(rows)))
            gsim.compute(part, [from_string(measure)], *out)
            mean[0, rows], sigma[0, rows], tau[0, rows], phi[0, rows] = out[:, 0]
    return {}, {"mean": mean[0], "sigma": sigma[0], "tau": tau[0], "phi": phi[0]}


def run(
    arrays: Arrays, jobs: list[str], folder: str, models: list[str], cores: int, parameters: dict[str, str]
) -> Answer:
    """Run jobs in order, each on the hazard of the one before, and export every table of the last."""
    os.environ["OQ_DATADIR"] = tempfile.mkdtemp(dir=folder)
    os.environ["OQ_DISTRIBUTE"] = "no" if cores == 1 else "processpool"
    from openquake.baselib import config

    # Before anything opens it: jobs are noted in a database, which is not to be that of the user.
    config.dbserver["file"] = os.environ["OQ_DATADIR"] + "/db.sqlite3"
    config.distribution["num_cores"] = str(cores)
    from openquake.calculators import base
    from openquake.calculators.export import export
    from openquake.server.dbserver import ensure_on

    ensure_on()
    for file in models:
        _load(file)
    given: dict[str, str] = {}
    for job in jobs:
        calculation = base.run_calc(job, **given, **parameters)
        store, oq = calculation.datastore, calculation.oqparam
        given = {"hazard_calculation_id": str(store.calc_id)}
    oq.export_dir = folder
    tables: dict[str, list[str]] = {}
    failed: dict[str, str] = {}
    for key in sorted(key for key, kind in export if kind == "csv"):
        stem = key.split("-")[0]
        if key not in _DERIVED and not any(name.split("-")[0] == stem for name in store):
            continue
        try:
            written = export((key, "csv"), store)
        except Exception as error:  # noqa: BLE001 - one table that cannot be made does not hide the others
            # Of a name that stands for several tables the job may have made others than this.
            absent = isinstance(error, KeyError) and "found in <DataStore" in str(error)
            if key not in _DERIVED and not absent:
                failed[key] = f"{type(error).__name__}: {error}"
            continue
        tables[key] = [str(name) for name in written or []]
    message = {
        "tables": tables,
        "failed": failed,
        "description": oq.description,
        "calculation_mode": oq.calculation_mode,
        "data": sorted(store),
    }
    store.close()
    return message, {}


def _load(file: str) -> None:
    """Import an exported model under the name of its file, so that its class can be pickled."""
    from openquake.hazardlib import gsim

    name = Path(file).stem
    if name in gsim.get_available_gsims() or name in sys.modules:
        raise ValueError(f"{file}: {name} is taken here; export the model under another name")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    gsim.get_available_gsims()[name] = getattr(module, name)


# Tables that OpenQuake derives from others, under names that its data do not have.
_DERIVED = ("hcurves", "hmaps", "uhs", "damages-rlzs", "damages-stats", "aggcurves")

_GSIMS: dict[str, Any] = {}


def _gsim(model: str) -> Any:
    from openquake.hazardlib import valid

    if model not in _GSIMS:
        _GSIMS[model] = valid.gsim(model)
    return _GSIMS[model]


_EXAMPLE = {
    "mag": 6.0, "rake": 90.0, "dip": 45.0, "strike": 0.0, "hypo_depth": 15.0, "ztor": 10.0, "width": 10.0,
    "hypo_lat": 36.0, "hypo_lon": 140.0, "occurrence_rate": 0.01, "vs30": 400.0, "vs30measured": 1.0,
    "z1pt0": 100.0, "z2pt5": 1.0, "lat": 36.3, "lon": 140.0, "backarc": 0.0, "rrup": 30.0, "rjb": 28.0,
    "rx": 28.0, "ry0": 0.0, "repi": 32.0, "rhypo": 35.0, "rvolc": 0.0, "azimuth": 0.0,
}  # fmt: skip

if __name__ == "__main__":
    main()
